//! How fast and how deep a point ran, from the lines of its rounds and the depths of its images.

use super::ledger::{Ledger, Line};
use super::points::Point;
use super::{AtTime, BenchError, Depth, Speed, Spread};

impl Spread {
    /// Of some rounds; none where there is none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (&least, &most) = (values.first()?, values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: (low + high) / 2.0, least, most, rounds: values.len() })
    }
}

/// Depth and cost of a point over all of its images.
#[derive(Debug, Default)]
pub struct Depths {
    /// Evaluation by evaluation: sum and sum of squares of depth.
    by_evaluation: Vec<[f64; 2]>,
    images: f64,
    cost: f64,
    full_cost: f64,
}

impl Depths {
    /// Of the rounds of a point.
    pub fn read(ledger: &Ledger, point: &str, rounds: &[usize]) -> Result<Self, BenchError> {
        let mut depths = Self::default();
        for &round in rounds {
            let drawn = ledger.drawn(point, round)?;
            depths.by_evaluation.resize(drawn.depths.ncols(), [0.0; 2]);
            for (sums, column) in depths.by_evaluation.iter_mut().zip(drawn.depths.columns()) {
                for &depth in column {
                    sums[0] += f64::from(depth);
                    sums[1] += f64::from(depth).powi(2);
                }
            }
            depths.images += drawn.images.dim().0 as f64;
            depths.cost += drawn.cost.sum();
            depths.full_cost += drawn.full_cost.sum();
        }
        Ok(depths)
    }

    /// As in a row; none where nothing was drawn. Of a program that says its cost alone, the mean depth is that of
    /// blocks that cost alike.
    pub fn row(&self, blocks: usize) -> Option<Depth> {
        let evaluations = self.by_evaluation.len() as f64;
        let sum: f64 = self.by_evaluation.iter().map(|s| s[0]).sum();
        let cost_share = self.cost / self.full_cost;
        let mean = match evaluations > 0.0 {
            true => sum / (evaluations * self.images),
            false => cost_share * blocks as f64,
        };
        (self.full_cost > 0.0).then(|| Depth { blocks, mean, cost_share, cost: self.cost / self.images })
    }

    /// Depth against time.
    pub fn by_time(&self, times: &[f64]) -> Vec<AtTime> {
        let at = |(&t, [sum, squares]): (&f64, &[f64; 2])| {
            let depth = sum / self.images;
            AtTime { t, depth, deviation: (squares / self.images - depth * depth).max(0.0).sqrt() }
        };
        times.iter().zip(&self.by_evaluation).map(at).collect()
    }
}

/// How fast a point ran; `predicted` is the cost of the point of full depth over its own.
pub fn speed(ledger: &Ledger, point: &Point, predicted: Option<f64>) -> Option<Speed> {
    let lines: Vec<&Line> = ledger.lines_of(&point.id).filter(|l| l.timed).collect();
    let rate = |l: &Line| l.images as f64 / l.seconds;
    let of_full = |l: &&Line| {
        let full = ledger.line(&point.full, l.round)?;
        (full.timed && full.session == l.session).then(|| rate(l) / rate(full))
    };
    let speedups: Vec<f64> = lines.iter().filter_map(of_full).collect();
    let ratios = predicted.map(|p| speedups.iter().map(|s| s / p).collect());
    Some(Speed {
        images_per_second: Spread::of(lines.iter().map(|l| rate(l)).collect())?,
        speedup: Spread::of(speedups),
        predicted_speedup: predicted,
        r: ratios.and_then(Spread::of),
        peak_rss: ledger.lines_of(&point.id).filter_map(|l| l.peak_rss).max(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_median_between_its_extremes() {
        let spread = Spread::of(vec![3.0, 1.0, 10.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.least, spread.most, spread.rounds), (2.5, 1.0, 10.0, 4));
        assert_eq!(Spread::of(vec![5.0, 1.0, 9.0]).unwrap().median, 5.0);
        assert_eq!(Spread::of(vec![]), None);
    }
}
