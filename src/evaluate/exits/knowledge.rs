//! What a number knows of an exit's error: over everything, and beyond the time and the exit.

use ndarray::{Array3, ArrayView1};
use serde::Serialize;

use super::ranks::{Order, correlation, spearman, varies};
use super::table::cells;
use crate::evaluate::{Bootstrap, Interval};

/// How well u tells d = mean |g_i − g_N|.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Knowledge {
    /// Spearman's correlation of u and d over all times, exits and images; none where one does not vary.
    pub pooled: Option<f64>,
    /// The same within a time and exit; none where no cell has images that differ.
    pub within: Option<Within>,
    /// Cells (time, exit) in all.
    pub cells: usize,
    /// Those where u or d is the same for all images; they are in no average.
    pub flat_cells: usize,
}

/// Averages over the cells (time, exit) where images differ.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Within {
    /// Spearman's correlation of u and d within a cell, with the 95 % percentile interval of a bootstrap over
    /// images.
    pub spearman: Interval,
    /// Share of the variance of d within a cell that a line in u explains, R². Of M images chance alone explains
    /// 1/(M − 1).
    pub explained: f64,
}

impl Knowledge {
    /// Of `u` and `d`, both `[K, P, M]`. A resample draws images, each with all of its times and exits.
    pub fn of(u: &Array3<f64>, d: &Array3<f64>, bootstrap: Bootstrap) -> Self {
        let flat = |x: &Array3<f64>| x.iter().copied().collect::<ndarray::Array1<f64>>();
        let ones = vec![1.0; u.len()];
        let pooled = spearman(&Order::of(flat(u).view()), &Order::of(flat(d).view()), &ones);
        let differing: Vec<(ArrayView1<f64>, ArrayView1<f64>)> =
            cells(u).zip(cells(d)).filter(|(u, d)| differ(u) && differ(d)).collect();
        let cells = u.dim().0 * u.dim().1;
        let flat_cells = cells - differing.len();
        Self { pooled, within: within(&differing, u.dim().2, bootstrap), cells, flat_cells }
    }
}

fn differ(values: &ArrayView1<f64>) -> bool {
    values.iter().any(|v| v != &values[0])
}

fn within(
    cells: &[(ArrayView1<f64>, ArrayView1<f64>)],
    images: usize,
    bootstrap: Bootstrap,
) -> Option<Within> {
    let ones = vec![1.0; images];
    let orders: Vec<[Order; 2]> = cells.iter().map(|(u, d)| [Order::of(*u), Order::of(*d)]).collect();
    let average = |weights: &[f64]| mean(orders.iter().filter_map(|[u, d]| spearman(u, d, weights)));
    let value = average(&ones)?;
    // A resample of one image over and over has no correlation.
    let resampled = (0..bootstrap.resamples).filter_map(|r| average(&bootstrap.weights(r, images)));
    let squares =
        cells.iter().filter_map(|(u, d)| Some(correlation(&u.to_vec(), &d.to_vec(), &ones)?.powi(2)));
    Some(Within {
        spearman: Interval::of_resamples(value, resampled.collect()),
        explained: mean(squares).unwrap_or(0.0),
    })
}

/// The mean; none of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = values.fold((0.0, 0.0), |(n, sum), v| (n + 1.0, sum + v));
    (n > 0.0).then(|| sum / n)
}

/// Share of the variance of all numbers that the means of their groups explain; none where they do not vary.
pub(super) fn explained_by_group<'a>(
    groups: impl Iterator<Item = ArrayView1<'a, f64>> + Clone,
) -> Option<f64> {
    let n: f64 = groups.clone().map(|g| g.len() as f64).sum();
    let total = groups.clone().map(|g| g.sum()).sum::<f64>() / n;
    let (mut within, mut all) = (0.0, 0.0);
    for group in groups {
        let own = group.sum() / group.len() as f64;
        within += group.iter().map(|v| (v - own).powi(2)).sum::<f64>();
        all += group.iter().map(|v| (v - total).powi(2)).sum::<f64>();
    }
    varies(all, total, n).then(|| 1.0 - within / all)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const SHAPE: (usize, usize, usize) = (20, 3, 60);

    /// A d that falls with the exit and the time, and differs from image to image.
    fn distance(seed: u64) -> Array3<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let noise = Array3::from_shape_simple_fn(SHAPE, || rng.random::<f64>());
        Array3::from_shape_fn(SHAPE, |(k, p, m)| {
            (1.0 + k as f64) / (1.0 + p as f64) * (1.0 + 0.1 * noise[[k, p, m]])
        })
    }

    #[test]
    fn a_perfect_estimator_knows_everything() {
        let d = distance(1);
        let found = Knowledge::of(&d.mapv(|d| (d / 10.0).tanh()), &d, Bootstrap::default());
        assert!(found.pooled.unwrap() > 1.0 - 1e-12);
        let within = found.within.unwrap();
        assert!(within.spearman.low > 1.0 - 1e-9, "{within:?}");
        let linear = Knowledge::of(&d, &d, Bootstrap::default());
        assert!(linear.within.unwrap().explained > 1.0 - 1e-9);
        assert_eq!((found.cells, found.flat_cells), (60, 0));
    }

    #[test]
    fn a_function_of_the_time_alone_is_a_schedule() {
        let d = distance(2);
        let u = Array3::from_shape_fn(SHAPE, |(k, p, _)| (1.0 + k as f64) / (1.0 + p as f64));
        let found = Knowledge::of(&u, &d, Bootstrap::default());
        assert!(found.pooled.unwrap() > 0.9);
        assert_eq!((found.within, found.flat_cells), (None, 60));
        // A little noise that has nothing to do with d: the pooled number stays, nothing is known within.
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let found = Knowledge::of(&u.mapv(|u| u + 1e-6 * rng.random::<f64>()), &d, Bootstrap::default());
        assert!(found.pooled.unwrap() > 0.9);
        let within = found.within.unwrap();
        assert!(within.spearman.low < 0.0 && within.spearman.high > 0.0, "{within:?}");
        assert!(within.explained < 4.0 / SHAPE.2 as f64, "{within:?}");
    }

    #[test]
    fn the_interval_covers_what_it_should() {
        // u and d share half their variance: rho is (6/π)·asin(½/2) for normal numbers. Of 60 intervals that cover it
        // with a probability of 95 %, fewer than 50 would do so once in some thousand runs.
        use rand_distr::{Distribution, StandardNormal};
        let truth = 6.0 / std::f64::consts::PI * 0.25f64.asin();
        let covering = (0..60).filter(|&seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut normal = || Array3::from_shape_simple_fn((2, 2, 60), || StandardNormal.sample(&mut rng));
            let (shared, a, b): (Array3<f64>, Array3<f64>, Array3<f64>) = (normal(), normal(), normal());
            let interval =
                Knowledge::of(&(&shared + &a), &(&shared + &b), Bootstrap { resamples: 200, seed });
            let interval = interval.within.unwrap().spearman;
            // Four cells of 60 images: 0.21 is what it ought to be.
            assert!(interval.high - interval.low < 0.35, "{interval:?}");
            interval.low < truth && truth < interval.high
        });
        let covering = covering.count();
        assert!(covering >= 50, "{covering} of 60");
    }

    #[test]
    fn flat_cells_are_left_out_and_counted() {
        let d = distance(4);
        let mut u = d.clone();
        u.slice_mut(ndarray::s![0, .., ..]).fill(0.5);
        let found = Knowledge::of(&u, &d, Bootstrap::default());
        assert_eq!(found.flat_cells, 3);
        assert!(found.within.unwrap().spearman.value > 1.0 - 1e-12);
    }

    #[test]
    fn group_means_explain_what_is_between_groups() {
        let of = |rows: &[[f64; 2]]| explained_by_group(rows.iter().map(|r| ndarray::aview1(r)));
        assert_eq!(of(&[[1.0, 1.0], [3.0, 3.0]]), Some(1.0));
        assert_eq!(of(&[[1.0, 3.0], [3.0, 1.0]]), Some(0.0));
        // Between: 4 · 1; within: 2 · 2 · ¼.
        assert_eq!(of(&[[0.5, 1.5], [2.5, 3.5]]), Some(0.8));
        assert_eq!(of(&[[0.1, 0.1], [0.1, 0.1]]), None);
    }
}
