//! Where images would leave by a threshold, and whether that depends on the image.

use ndarray::Array2;
use serde::Serialize;

use super::knowledge::{explained_by_group, mean};
use super::{ExitTable, Signal};

/// The depths that a threshold gives on a table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DepthSpread {
    /// The policy's threshold.
    pub threshold: f64,
    /// Mean block cost, as a share of full depth's.
    pub cost: f64,
    /// Mean depth in blocks.
    pub depth: f64,
    /// Standard deviation of the depth over images at equal times, in blocks, mean over times. About 0: a schedule.
    pub within_time: f64,
    /// Share of the depth's variance that the time explains; none where all depths are equal.
    pub explained_by_time: Option<f64>,
}

impl DepthSpread {
    /// Blocks below which [`DepthSpread::within_time`] makes a policy a schedule.
    pub const SCHEDULE: f64 = 0.25;

    /// Whether images at equal times hardly differ in depth.
    pub fn is_schedule(&self) -> bool {
        self.within_time < Self::SCHEDULE
    }

    /// Of the policy that leaves at the first exit where `signal` passes `threshold`.
    pub fn of(table: &ExitTable, signal: &Signal, threshold: f64) -> Self {
        let left = left(signal, threshold);
        let full = table.points.len();
        let depth = left.mapv(|p| table.points.get(p).map_or(table.depth, |&d| d) as f64); // [K, M]
        let cost = |&p: &usize| if p == full { 1.0 } else { table.costs[p] };
        let deviation = |row: ndarray::ArrayView1<f64>| row.std(0.0);
        Self {
            threshold,
            cost: mean(left.iter().map(cost)).unwrap_or(1.0),
            depth: mean(depth.iter().copied()).unwrap_or(table.depth as f64),
            within_time: mean(depth.rows().into_iter().map(deviation)).unwrap_or(0.0),
            explained_by_time: explained_by_group(depth.rows().into_iter()),
        }
    }

    /// The policy whose mean cost is just at or below `cost`, by bisection; none where even a threshold that lets all
    /// go costs more.
    pub fn at_cost(table: &ExitTable, signal: &Signal, cost: f64) -> Option<Self> {
        let mut seen: Vec<f64> = signal.u.iter().copied().collect();
        seen.sort_by(f64::total_cmp);
        seen.dedup();
        // Thresholds between neighbours: the n-th leaves where u is among the n smallest numbers seen. A policy's
        // threshold is from 0 to 1.
        let between = |n: usize| match n {
            0 => 0.0,
            n if n == seen.len() => 1.0,
            n => (seen[n - 1] + seen[n]) / 2.0,
        };
        let spread = |n: usize| Self::of(table, signal, signal.kind.threshold(between(n)));
        let (mut dear, mut cheap) = (0, seen.len());
        if spread(dear).cost <= cost {
            return Some(spread(dear));
        }
        if spread(cheap).cost > cost {
            return None;
        }
        while cheap - dear > 1 {
            let n = dear + (cheap - dear) / 2;
            if spread(n).cost > cost { dear = n } else { cheap = n }
        }
        Some(spread(cheap))
    }
}

/// The index of the exit where each image leaves, P for full depth, `[K, M]`.
fn left(signal: &Signal, threshold: f64) -> Array2<usize> {
    let (times, points, images) = signal.u.dim();
    let leaves = |k, p, m| signal.kind.leaves(signal.u[[k, p, m]], threshold);
    Array2::from_shape_fn((times, images), |(k, m)| (0..points).find(|&p| leaves(k, p, m)).unwrap_or(points))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::evaluate::exits::SignalKind;

    fn table(u: Array3<f64>, kind: SignalKind) -> ExitTable {
        let (k, p, m) = u.dim();
        let zeros = Array3::zeros((k, p, m));
        ExitTable {
            timesteps: 1000,
            times: (0..k).map(|k| k as f64).collect(),
            points: (1..=p).collect(),
            depth: p + 1,
            costs: (1..=p).map(|d| d as f64 / (p + 1) as f64).collect(),
            noise_error: Array3::zeros((k, p + 1, m)),
            full_error: zeros.clone(),
            distance: zeros,
            signals: vec![Signal { kind, u }],
        }
    }

    fn random(kind: SignalKind) -> ExitTable {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        table(Array3::from_shape_simple_fn((20, 3, 50), || rng.random()), kind)
    }

    #[test]
    fn images_leave_at_the_first_exit_that_passes() {
        // Two times, two exits, two images.
        let u = Array3::from_shape_vec((2, 2, 2), vec![0.1, 0.9, 0.1, 0.2, 0.6, 0.7, 0.4, 0.5]).unwrap();
        let table = table(u, SignalKind::Uncertainty);
        let found = DepthSpread::of(&table, &table.signals[0], 0.5);
        // Depths: 1 and 2; 2 and 3, as 0.5 is not below 0.5.
        assert_eq!(found.depth, 2.0);
        assert!((found.cost - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(found.within_time, 0.5);
        assert_eq!(found.explained_by_time, Some(0.5));
        assert!(!found.is_schedule());
    }

    #[test]
    fn thresholds_are_the_policys_own() {
        let u = || Array3::from_shape_vec((1, 1, 2), vec![0.25, 0.75]).unwrap();
        let depth = |kind, threshold| {
            let table = table(u(), kind);
            DepthSpread::of(&table, &table.signals[0], threshold).depth
        };
        assert_eq!(depth(SignalKind::Uncertainty, 0.25), 2.0);
        assert_eq!(depth(SignalKind::Uncertainty, 0.3), 1.5);
        assert_eq!(depth(SignalKind::Certainty, 0.75), 2.0, "c = 0.75 is not above");
        assert_eq!(depth(SignalKind::Certainty, 0.7), 1.5);
        assert_eq!(depth(SignalKind::Gate, 0.75), 1.5, "λ = 0.75 is at the threshold");
        assert_eq!(depth(SignalKind::Gate, 0.2), 1.0);
    }

    #[test]
    fn a_cost_is_met_from_below() {
        for kind in [SignalKind::Uncertainty, SignalKind::Certainty, SignalKind::Gate] {
            let table = random(kind);
            for cost in [0.9, 0.6, 0.4] {
                let found = DepthSpread::at_cost(&table, &table.signals[0], cost).unwrap();
                // 1,000 images at a time, each of which moves the mean by at most 3/4 of 1/1,000.
                assert!(found.cost <= cost && found.cost > cost - 0.001, "{found:?} for {cost}");
                assert_eq!(DepthSpread::of(&table, &table.signals[0], found.threshold), found);
            }
            assert_eq!(
                DepthSpread::at_cost(&table, &table.signals[0], 0.2),
                None,
                "the first exit costs 1/4"
            );
        }
    }

    #[test]
    fn a_function_of_the_time_is_a_schedule() {
        let u = Array3::from_shape_fn((20, 3, 50), |(k, p, _)| (k as f64 + 1.0) / (p as f64 + 1.0) / 20.0);
        let table = table(u, SignalKind::Uncertainty);
        let found = DepthSpread::of(&table, &table.signals[0], 0.4);
        assert!(found.depth > 1.0 && found.depth < 4.0);
        assert_eq!((found.within_time, found.is_schedule()), (0.0, true));
        assert!((found.explained_by_time.unwrap() - 1.0).abs() < 1e-12);
        let all = DepthSpread::of(&table, &table.signals[0], 0.0);
        assert_eq!((all.depth, all.cost, all.explained_by_time), (4.0, 1.0, None));
    }
}
