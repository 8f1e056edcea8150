//! What leaving early at several times does together.
//!
//! The changes of an image that early exits at different times make are vectors, and they add up as vectors: exits that
//! err alike, say by smoothing, err more together than their squares say. Over all images, the squared change of a
//! schedule is the quadratic form `Σ_s Σ_s' ⟨v(s, d_s), v(s', d_s')⟩` in what each exit did alone. No dynamic program
//! solves that; from its solution, changing one time or two at once as long as anything is gained gets close.

use ndarray::Array2;

use super::ErrorTable;

/// Inner products of the changes, `[S·P, S·P]`, mean over images and their numbers; s·P + p is exit p at time s.
#[derive(Debug, Clone, PartialEq)]
pub struct Interplay {
    /// The products.
    pub products: Array2<f64>,
    /// P.
    pub exits: usize,
}

impl Interplay {
    /// The squared change of an image by leaving at choice `p` at each time; P, full depth, changes nothing.
    pub fn square(&self, choices: &[usize]) -> f64 {
        let places = self.places(choices);
        let sum: f64 =
            places.iter().map(|&a| places.iter().map(|&b| self.products[[a, b]]).sum::<f64>()).sum();
        // A form that was rounded may fall below zero.
        sum.max(0.0)
    }

    fn places(&self, choices: &[usize]) -> Vec<usize> {
        let early = choices.iter().enumerate().filter(|(_, p)| **p < self.exits);
        early.map(|(s, p)| s * self.exits + p).collect()
    }

    /// Betters a schedule, whose cost stays at most `budget` units, until neither one time nor two at once can be changed
    /// for the better. `cost` is by time and choice.
    pub(super) fn refine(&self, table: &ErrorTable, units: &[usize], choices: &mut [usize], budget: usize) {
        let full = self.exits;
        let times = choices.len();
        let cost = |s: usize, p: usize| table.sizes[s] * units[p];
        let mut spent: usize = choices.iter().enumerate().map(|(s, &p)| cost(s, p)).sum();
        let product = |s: usize, p: usize, s2: usize, p2: usize| match p == full || p2 == full {
            true => 0.0,
            false => self.products[[s * full + p, s2 * full + p2]],
        };
        // ⟨v(s, p), Σ over the other times⟩.
        let mut square = self.square(choices);
        loop {
            let others = |s: usize, p: usize, choices: &[usize]| -> f64 {
                (0..times).filter(|&o| o != s).map(|o| product(s, p, o, choices[o])).sum()
            };
            let pulls: Vec<Vec<f64>> =
                (0..times).map(|s| (0..=full).map(|p| others(s, p, choices)).collect()).collect();
            let gain = |s: usize, p: usize| {
                let now = choices[s];
                product(s, p, s, p) - product(s, now, s, now) + 2.0 * (pulls[s][p] - pulls[s][now])
            };
            let mut best = (-1e-12 * square.max(1e-30), None);
            for s in 0..times {
                for p in (0..=full).filter(|&p| p != choices[s]) {
                    let (alone, after) = (gain(s, p), spent + cost(s, p) - cost(s, choices[s]));
                    if after <= budget && alone < best.0 {
                        best = (alone, Some([(s, p), (s, p)]));
                    }
                    for s2 in s + 1..times {
                        for p2 in (0..=full).filter(|&p2| p2 != choices[s2]) {
                            let (now, now2) = (choices[s], choices[s2]);
                            if after + cost(s2, p2) - cost(s2, now2) > budget {
                                continue;
                            }
                            // Between the two, the pulls still hold what they were.
                            let between =
                                product(s, p, s2, p2) - product(s, p, s2, now2) - product(s, now, s2, p2)
                                    + product(s, now, s2, now2);
                            let both = alone + gain(s2, p2) + 2.0 * between;
                            if both < best.0 {
                                best = (both, Some([(s, p), (s2, p2)]));
                            }
                        }
                    }
                }
            }
            let Some(changes) = best.1 else { return };
            for (s, p) in changes {
                choices[s] = p;
            }
            spent = choices.iter().enumerate().map(|(s, &p)| cost(s, p)).sum();
            square = self.square(choices);
        }
    }
}
