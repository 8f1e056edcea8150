//! One threshold for all exits and times, at a mean cost.
//!
//! What an image costs at a threshold is not in any table of scores: early exits move its trajectory, and with it all
//! later scores. So the cost is measured anew at each threshold that is tried, by a rollout, and what counts is to try
//! few. On the axis of the *sorted* scores the cost is nearly a line, which regula falsi meets in a handful of steps.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::{between, check_budget, check_range, check_scores};
use crate::calibrate::CalibrateError;

/// A threshold and what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tried {
    /// Images leave where their score is below.
    pub threshold: f64,
    /// The mean cost with it.
    pub cost: f64,
}

/// A threshold at a budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AtBudget {
    /// The one whose cost comes nearest to the budget from below, of all that were tried; of equals the lowest.
    pub best: Tried,
    /// All of them, in order.
    pub tried: Vec<Tried>,
}

/// The threshold at which the mean cost is `budget`, or up to `tolerance` less; both are in the unit of `cost`, which
/// measures it at a threshold.
///
/// `scores` says where thresholds can make a difference: any sample of the policy's scores, such as those of full-depth
/// trajectories, in any order. Thresholds are halfway between neighbours among them, and the ends of `range`, the lowest
/// and highest that the policy takes: the lowest lets none leave early, the highest all.
///
/// The cost should fall as the threshold rises. Where it does not everywhere, the answer still costs no more than the
/// budget, and comes nearest to it of all that were tried. Of n different scores, `cost` is called at most 2 log₂ n times
/// and a few, most often fewer than 8 times in all.
///
/// Where even the lowest threshold costs no more than the budget, it is the answer, however far below.
///
/// # Errors
/// No scores, or one outside the range; an infinite range or budget; a tolerance below 0; a cost that is not finite; a
/// budget that even the highest threshold exceeds; what `cost` refuses.
pub fn one_threshold<E: From<CalibrateError>>(
    scores: &[f64],
    range: RangeInclusive<f64>,
    budget: f64,
    tolerance: f64,
    cost: impl FnMut(f64) -> Result<f64, E>,
) -> Result<AtBudget, E> {
    let places = places(scores, &range)?;
    check_budget(budget)?;
    if !(tolerance >= 0.0 && tolerance.is_finite()) {
        let name = "the tolerance";
        return Err(CalibrateError::Number { name, expected: "0 or more", got: tolerance }.into());
    }
    let mut search = Search { places: &places, cost, tried: Vec::new() };
    search.bracket(budget, tolerance)?;
    let within = search.tried.iter().filter(|tried| tried.cost <= budget);
    let best = within.max_by(|a, b| a.cost.total_cmp(&b.cost).then(b.threshold.total_cmp(&a.threshold)));
    match best.copied() {
        Some(best) => Ok(AtBudget { best, tried: search.tried }),
        None => {
            let least = search.tried.first().map_or(f64::NAN, |tried| tried.cost);
            Err(CalibrateError::Unreachable { budget, least }.into())
        }
    }
}

/// Thresholds that differ in which of the scores are below them, rising.
fn places(scores: &[f64], range: &RangeInclusive<f64>) -> Result<Vec<f64>, CalibrateError> {
    check_range(range)?;
    check_scores(scores, range)?;
    if scores.is_empty() {
        return Err(CalibrateError::TooFew { least: 1, got: 0 });
    }
    let mut seen = scores.to_vec();
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    let inner = seen.windows(2).map(|pair| between(pair[0], pair[1]));
    Ok(std::iter::once(*range.start()).chain(inner).chain([*range.end()]).collect())
}

struct Search<'a, F> {
    places: &'a [f64],
    cost: F,
    tried: Vec<Tried>,
}

impl<F> Search<'_, F> {
    /// Tries thresholds until two neighbours have the budget between them, or one meets it.
    fn bracket<E: From<CalibrateError>>(&mut self, budget: f64, tolerance: f64) -> Result<(), E>
    where
        F: FnMut(f64) -> Result<f64, E>,
    {
        let (mut dear, mut cheap) = (0, self.places.len() - 1);
        let met = |cost: f64| cost <= budget && cost >= budget - tolerance;
        // Aimed at the middle of what is accepted.
        let aim = budget - tolerance / 2.0;
        let least = self.measure(cheap)?;
        if least > budget || met(least) {
            return Ok(());
        }
        let most = self.measure(dear)?;
        if most <= budget {
            return Ok(());
        }
        // By how much the cost at either end misses the aim, and whether the next step is a bisection.
        let (mut over, mut under, mut bisect) = (most - aim, aim - least, false);
        while cheap - dear > 1 {
            let share = if bisect { 0.5 } else { over / (over + under) };
            let step = (share * (cheap - dear) as f64).round() as usize;
            let at = dear + step.clamp(1, cheap - dear - 1);
            let cost = self.measure(at)?;
            if met(cost) {
                return Ok(());
            }
            let before = cheap - dear;
            if cost > budget {
                (dear, over) = (at, cost - aim)
            } else {
                (cheap, under) = (at, aim - cost)
            }
            // An interpolation that does not halve the bracket is followed by a bisection, which does.
            bisect = !bisect && cheap - dear > before.div_ceil(2);
        }
        Ok(())
    }

    fn measure<E: From<CalibrateError>>(&mut self, place: usize) -> Result<f64, E>
    where
        F: FnMut(f64) -> Result<f64, E>,
    {
        let threshold = self.places[place];
        let cost = (self.cost)(threshold)?;
        if !cost.is_finite() {
            return Err(CalibrateError::Number { name: "a mean cost", expected: "finite", got: cost }.into());
        }
        self.tried.push(Tried { threshold, cost });
        Ok(cost)
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// The share of scores that are not below: each an image that costs 1, or 0.
    fn share_staying(scores: &[f64]) -> impl FnMut(f64) -> Result<f64, CalibrateError> {
        |threshold| Ok(scores.iter().filter(|&&u| u >= threshold).count() as f64 / scores.len() as f64)
    }

    #[test]
    fn thresholds_lie_between_neighbours() {
        let scores = [0.4, 0.2, 0.8, 0.2];
        assert_eq!(
            places(&scores, &(0.0..=1.0)).unwrap(),
            [0.0, 0.30000000000000004, 0.6000000000000001, 1.0]
        );
        let found = one_threshold(&scores, 0.0..=1.0, 0.5, 0.0, share_staying(&scores)).unwrap();
        assert_eq!(found.best, Tried { threshold: 0.30000000000000004, cost: 0.5 });
        // Numbers with nothing in between.
        let next = f64::from_bits(0.5f64.to_bits() + 1);
        assert_eq!(places(&[0.5, next], &(0.0..=1.0)).unwrap(), [0.0, next, 1.0]);
    }

    #[test]
    fn few_rollouts_are_made() {
        // Scores heaped up at the lower end, as tanh of small errors is; an image costs least at once below the
        // threshold, most at twice that.
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let scores: Vec<f64> = (0..10_000).map(|_| rng.random::<f64>().powi(6)).collect();
        let cost = |threshold: f64| {
            let each = |&u: &f64| (u / threshold - 1.0).clamp(0.1, 1.0);
            Ok::<_, CalibrateError>(scores.iter().map(each).sum::<f64>() / scores.len() as f64)
        };
        let mut calls = Vec::new();
        for percent in 15..95 {
            let budget = f64::from(percent) / 100.0;
            let found = one_threshold(&scores, 0.0..=1.0, budget, 0.005, cost).unwrap();
            assert!(found.best.cost <= budget && found.best.cost >= budget - 0.005);
            calls.push(found.tried.len());
        }
        println!("{calls:?}");
        assert!(calls.iter().max() <= Some(&9), "{calls:?}");
        assert!(calls.iter().sum::<usize>() <= 6 * calls.len(), "{calls:?}");
    }

    #[test]
    fn ends_are_answers_too() {
        let scores = [0.2, 0.4, 0.6];
        let at = |budget| one_threshold(&scores, 0.0..=1.0, budget, 0.0, share_staying(&scores));
        assert_eq!(at(0.0).unwrap().best, Tried { threshold: 1.0, cost: 0.0 });
        assert_eq!(at(7.0).unwrap().best, Tried { threshold: 0.0, cost: 1.0 });
        assert!(matches!(at(-0.1), Err(CalibrateError::Unreachable { least: 0.0, .. })));
    }

    #[test]
    fn bad_numbers_are_refused() {
        let fine = |_| Ok::<_, CalibrateError>(0.5);
        let is_number = |found: Result<AtBudget, _>| matches!(found, Err(CalibrateError::Number { .. }));
        assert!(matches!(one_threshold(&[], 0.0..=1.0, 0.5, 0.0, fine), Err(CalibrateError::TooFew { .. })));
        for score in [f64::NAN, -0.1, 1.1] {
            let refused = one_threshold(&[0.5, score], 0.0..=1.0, 0.5, 0.0, fine);
            assert!(matches!(refused, Err(CalibrateError::Score { index: 1, .. })));
        }
        assert!(is_number(one_threshold(&[0.5], 0.0..=1.0, f64::NAN, 0.0, fine)));
        assert!(is_number(one_threshold(&[0.5], 0.0..=1.0, 0.5, -0.1, fine)));
        assert!(is_number(one_threshold(&[0.5], 0.0..=f64::INFINITY, 0.5, 0.0, fine)));
        assert!(is_number(one_threshold(&[0.5], f64::NAN..=1.0, 0.5, 0.0, fine)));
        assert!(is_number(one_threshold(&[0.5], 0.0..=1.0, 0.5, 0.0, |_| Ok(f64::NAN))));
    }
}
