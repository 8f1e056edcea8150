//! Rank correlation of weighted pairs, ties by mean ranks.
//!
//! A bootstrap resample is a set of whole weights: image j counts w_j times. Its ranks follow from the order of
//! the original numbers, which is found once.

use ndarray::ArrayView1;

/// Numbers in ascending order, equal ones together.
pub(super) struct Order {
    /// Indices, in the order of their numbers.
    sorted: Vec<usize>,
    /// One behind the last of each group of equal numbers, as places in `sorted`.
    ends: Vec<usize>,
}

impl Order {
    pub fn of(values: ArrayView1<f64>) -> Self {
        let mut sorted: Vec<usize> = (0..values.len()).collect();
        sorted.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        let starts_anew =
            |&place: &usize| place == sorted.len() || values[sorted[place - 1]] != values[sorted[place]];
        let ends = (1..=sorted.len()).filter(starts_anew).collect();
        Self { sorted, ends }
    }

    /// The mean rank of each, from 1, where each is there `weights` times.
    pub fn ranks(&self, weights: &[f64]) -> Vec<f64> {
        let mut ranks = vec![0.0; self.sorted.len()];
        let (mut start, mut before) = (0, 0.0);
        for &end in &self.ends {
            let group = &self.sorted[start..end];
            let size: f64 = group.iter().map(|&j| weights[j]).sum();
            for &j in group {
                ranks[j] = before + (size + 1.0) / 2.0;
            }
            (start, before) = (end, before + size);
        }
        ranks
    }
}

/// Pearson's correlation of pairs that are there `weights` times; none where either side does not vary.
pub(super) fn correlation(a: &[f64], b: &[f64], weights: &[f64]) -> Option<f64> {
    let n: f64 = weights.iter().sum();
    let mean = |x: &[f64]| x.iter().zip(weights).map(|(x, w)| w * x).sum::<f64>() / n;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for ((a, b), w) in a.iter().zip(b).zip(weights) {
        let (a, b) = (a - mean_a, b - mean_b);
        aa += w * a * a;
        bb += w * b * b;
        ab += w * a * b;
    }
    (varies(aa, mean_a, n) && varies(bb, mean_b, n)).then(|| (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0))
}

/// Whether a sum of squares about a mean is more than the rounding of equal numbers.
pub(super) fn varies(squares: f64, mean: f64, n: f64) -> bool {
    squares > n * (8.0 * f64::EPSILON * mean).powi(2)
}

/// Spearman's correlation of two orders of the same things, each there `weights` times; none where either side
/// does not vary.
pub(super) fn spearman(a: &Order, b: &Order, weights: &[f64]) -> Option<f64> {
    correlation(&a.ranks(weights), &b.ranks(weights), weights)
}

/// Spearman's correlation of two lists of one length; none where one does not vary.
pub fn rank_correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let order = |values: &[f64]| Order::of(ArrayView1::from(values));
    spearman(&order(a), &order(b), &vec![1.0; a.len()])
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, aview1};
    use proptest::prelude::*;

    use super::*;

    fn rho(a: &[f64], b: &[f64]) -> Option<f64> {
        spearman(&Order::of(aview1(a)), &Order::of(aview1(b)), &vec![1.0; a.len()])
    }

    #[test]
    fn equal_numbers_share_their_mean_rank() {
        let order = Order::of(aview1(&[3.0, 1.0, 3.0, 2.0, 3.0]));
        assert_eq!(order.ranks(&[1.0; 5]), [4.0, 1.0, 4.0, 2.0, 4.0]);
        // One of the threes is not there, the one is there twice.
        assert_eq!(order.ranks(&[0.0, 2.0, 1.0, 1.0, 1.0])[1..], [1.5, 4.5, 3.0, 4.5]);
    }

    #[test]
    fn is_scipys() {
        // scipy.stats.spearmanr of scipy 1.16.3.
        let a = [1.0, 2.0, 2.0, 4.0, 0.5, 7.0, 3.0];
        let b = [0.2, 0.1, 0.4, 0.4, 0.3, 0.9, 0.0];
        assert!((rho(&a, &b).unwrap() - 0.4090909090909091).abs() < 1e-12, "{:?}", rho(&a, &b));
    }

    #[test]
    fn what_does_not_vary_has_none() {
        assert_eq!(rho(&[0.1; 4], &[1.0, 2.0, 3.0, 4.0]), None);
        assert_eq!(correlation(&[0.1; 3], &[1.0, 2.0, 3.0], &[1.0; 3]), None);
        assert_eq!(correlation(&[1.0, 2.0], &[1.0, 2.0], &[2.0, 0.0]), None);
    }

    proptest! {
        #[test]
        fn weights_are_repetitions(
            rows in prop::collection::vec((0..6i32, 0..6i32, 0..4usize), 2..20)
        ) {
            let pick = |f: &dyn Fn(&(i32, i32, usize)) -> f64| rows.iter().map(f).collect::<Array1<f64>>();
            let (a, b, w) = (pick(&|r| r.0.into()), pick(&|r| r.1.into()), pick(&|r| r.2 as f64));
            let weighted = spearman(&Order::of(a.view()), &Order::of(b.view()), w.as_slice().unwrap());
            let repeated: Vec<_> = rows.iter().flat_map(|r| std::iter::repeat_n(r, r.2)).collect();
            let (a, b): (Vec<f64>, Vec<f64>) = repeated.iter().map(|r| (f64::from(r.0), f64::from(r.1))).unzip();
            match (weighted, rho(&a, &b)) {
                (Some(x), Some(y)) => prop_assert!((x - y).abs() < 1e-9, "{} {}", x, y),
                (x, y) => prop_assert_eq!(x, y),
            }
        }
    }
}
