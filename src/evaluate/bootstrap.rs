//! Paired bootstrap: is a difference more than the luck of these images?
//!
//! Two sets whose image i came from the same seed are resampled with the same indices, so that what both owe
//! to the seeds cancels. For the Fréchet distance nothing of size d is decomposed anew: with the reference's
//! factor F, the features are projected once, Y = X Fᵀ, and a resample only weights rows of Y.

use faer::Par;
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use ndarray::{Array1, Array2, Axis};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::linear_algebra::{add_gram, mean_row, times_transposed, view, widen};
use super::metric_error::check_comparable;
use super::{FeatureSet, Gaussian, Interval, MetricError};

/// Rows projected at a time.
const BLOCK: usize = 1024;

/// How images are resampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap {
    /// How many times.
    pub resamples: usize,
    /// Which resamples.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 200, seed: 0 }
    }
}

impl Bootstrap {
    /// 95 % interval of FD(a, reference) − FD(c, reference), image i of `a` paired with image i of `c`.
    ///
    /// A resample has fewer distinct images, which raises a Fréchet distance; how far the mean of the resampled
    /// differences lies from the measured one is taken off both ends.
    ///
    /// Memory is N·r numbers for each set, r ≤ d the rank of the reference.
    ///
    /// # Errors
    /// Sets of two sizes, of fewer than 2, or of other features than the reference; no resamples.
    pub fn frechet_difference(
        &self,
        a: &FeatureSet,
        c: &FeatureSet,
        reference: &Gaussian,
    ) -> Result<Interval, MetricError> {
        check_pairs(a.len(), c.len())?;
        self.check()?;
        check_comparable((Some(a.identity()), a.width()), (Some(c.identity()), c.width()))?;
        check_comparable((Some(a.identity()), a.width()), reference.kind())?;
        let value =
            Gaussian::of_features(a)?.distance(reference)? - Gaussian::of_features(c)?.distance(reference)?;
        let weights: Vec<Vec<f64>> = (0..self.resamples).map(|r| self.weights(r, a.len())).collect();
        let left = Projected::new(a, reference, &weights)?;
        let right = Projected::new(c, reference, &weights)?;
        let differences = over_threads(weights.len(), |r| {
            Ok(left.distance(r, &weights[r])? - right.distance(r, &weights[r])?)
        })?;
        let bias = differences.iter().sum::<f64>() / differences.len() as f64 - value;
        Ok(Interval::of_resamples(value, differences.iter().map(|d| d - bias).collect()))
    }

    /// 95 % interval of the mean of differences, one an image.
    ///
    /// # Errors
    /// Fewer than 2 images; no resamples.
    pub fn mean_difference(&self, differences: &[f64]) -> Result<Interval, MetricError> {
        check_pairs(differences.len(), differences.len())?;
        self.check()?;
        let n = differences.len() as f64;
        let means = (0..self.resamples).map(|r| {
            let weights = self.weights(r, differences.len());
            weights.iter().zip(differences).map(|(w, d)| w * d).sum::<f64>() / n
        });
        Ok(Interval::of_resamples(differences.iter().sum::<f64>() / n, means.collect()))
    }

    /// How often each of n images is in a resample.
    pub(super) fn weights(&self, resample: usize, n: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(resample as u64);
        let mut weights = vec![0.0; n];
        for _ in 0..n {
            weights[rng.random_range(0..n)] += 1.0;
        }
        weights
    }

    fn check(&self) -> Result<(), MetricError> {
        match self.resamples {
            0 => Err(MetricError::Option { name: "resamples", expected: "at least 1", got: 0 }),
            _ => Ok(()),
        }
    }
}

fn check_pairs(left: usize, right: usize) -> Result<(), MetricError> {
    if left != right {
        return Err(MetricError::Unpaired { left, right });
    }
    match left {
        0..2 => Err(MetricError::TooFew { what: "bootstrap", least: 2, got: left as u64 }),
        _ => Ok(()),
    }
}

/// What the resamples of one set have in common.
struct Projected<'a> {
    target: &'a Gaussian,
    /// Y = (X − x̄) Fᵀ, `[N, r]`.
    rows: Array2<f64>,
    /// Y Yᵀ, `[N, N]`, where a resample has fewer distinct images than the reference has dimensions.
    products: Option<Array2<f64>>,
    /// ‖x_i − x̄‖².
    squares: Vec<f64>,
    /// For each resample: its mean − x̄, through F, `[r]`; ‖mean − x̄‖²; ‖mean − μ_reference‖².
    means: Vec<(Array1<f64>, f64, f64)>,
}

/// Share of distinct images in a resample, 1 − 1/e.
const DISTINCT: f64 = 0.632;

impl<'a> Projected<'a> {
    fn new(set: &FeatureSet, target: &'a Gaussian, weights: &[Vec<f64>]) -> Result<Self, MetricError> {
        let (n, d) = (set.len(), set.width());
        let mut centre = Array1::zeros(d);
        for range in set.blocks(BLOCK) {
            let rows = widen(set.rows(range.clone())?.view());
            centre += &(mean_row(&rows) * (range.len() as f64 / n as f64));
        }
        let mut rows = Array2::zeros((n, target.factor.nrows()));
        let mut squares = Vec::with_capacity(n);
        let mut shifts: Vec<Array1<f64>> = vec![Array1::zeros(d); weights.len()];
        for range in set.blocks(BLOCK) {
            let x = widen(set.rows(range.clone())?.view()) - centre.view().insert_axis(Axis(0));
            rows.slice_mut(ndarray::s![range.clone(), ..]).assign(&times_transposed(&x, &target.factor));
            squares.extend(x.rows().into_iter().map(|row| row.dot(&row)));
            // [R, n] · [n, d]
            let part =
                Array2::from_shape_fn((weights.len(), range.len()), |(r, i)| weights[r][range.start + i]);
            let x = x.reversed_axes().as_standard_layout().into_owned();
            for (shift, sum) in shifts.iter_mut().zip(times_transposed(&part, &x).rows()) {
                shift.scaled_add(1.0 / n as f64, &sum);
            }
        }
        let to_reference = &centre - &target.mean;
        let means = shifts.iter().map(|shift| {
            let from_reference = shift + &to_reference;
            let length = |v: &Array1<f64>| v.dot(v);
            (target.factor.dot(shift), length(shift), length(&from_reference))
        });
        let means = means.collect();
        let few = DISTINCT * (n as f64) < rows.ncols() as f64;
        let products = few.then(|| times_transposed(&rows, &rows));
        Ok(Self { target, rows, products, squares, means })
    }

    /// Fréchet distance of a resample to the reference.
    fn distance(&self, resample: usize, weights: &[f64]) -> Result<f64, MetricError> {
        let n = weights.len() as f64;
        let (mean, shift, from_reference) = &self.means[resample];
        let squares: f64 = weights.iter().zip(&self.squares).map(|(w, q)| w * q).sum();
        let trace = (squares - n * shift) / (n - 1.0);
        let mut gram = match &self.products {
            Some(products) => gram_of_images(products, weights),
            None => gram_of_dimensions(&self.rows, weights, mean),
        };
        gram /= n - 1.0;
        let root: f64 = eigenvalues(&gram)?.iter().map(|&v| v.max(0.0).sqrt()).sum();
        Ok((from_reference + trace + self.target.trace - 2.0 * root).max(0.0))
    }
}

/// Σ w (y − ȳ)(y − ȳ)ᵀ, `[r, r]`, lower triangle.
fn gram_of_dimensions(rows: &Array2<f64>, weights: &[f64], mean: &Array1<f64>) -> Array2<f64> {
    let drawn: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0.0).collect();
    let weighted = Array2::from_shape_fn((drawn.len(), rows.ncols()), |(i, j)| {
        weights[drawn[i]].sqrt() * (rows[[drawn[i], j]] - mean[j])
    });
    let mut gram = Array2::zeros((rows.ncols(), rows.ncols()));
    add_gram(&mut gram, &weighted);
    gram
}

/// √w_i (y_i − ȳ)·(y_j − ȳ) √w_j over the m distinct images, `[m, m]`: the same eigenvalues but for zeros.
fn gram_of_images(products: &Array2<f64>, weights: &[f64]) -> Array2<f64> {
    let n = weights.len() as f64;
    let drawn: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0.0).collect();
    let to_mean: Vec<f64> = drawn
        .iter()
        .map(|&i| drawn.iter().map(|&j| weights[j] * products[[i, j]]).sum::<f64>() / n)
        .collect();
    let mean = drawn.iter().zip(&to_mean).map(|(&i, p)| weights[i] * p).sum::<f64>() / n;
    Array2::from_shape_fn((drawn.len(), drawn.len()), |(i, j)| {
        let (a, b) = (drawn[i], drawn[j]);
        (weights[a] * weights[b]).sqrt() * (products[[a, b]] - to_mean[i] - to_mean[j] + mean)
    })
}

/// Eigenvalues of a symmetric matrix whose lower triangle is read, on the calling thread.
fn eigenvalues(matrix: &Array2<f64>) -> Result<Vec<f64>, MetricError> {
    let n = matrix.nrows();
    if n == 0 {
        return Ok(vec![]);
    }
    let mut values = Diag::zeros(n);
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::No, Par::Seq, Default::default());
    self_adjoint_evd(
        view(matrix),
        values.as_mut(),
        None,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|_| MetricError::NoConvergence { width: n })?;
    Ok(values.column_vector().iter().copied().collect())
}

/// f(0), f(1), … f(n − 1), worked out by all processors.
fn over_threads(
    n: usize,
    f: impl Fn(usize) -> Result<f64, MetricError> + Sync,
) -> Result<Vec<f64>, MetricError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(n.max(1));
    let parts: Vec<Result<Vec<f64>, MetricError>> = std::thread::scope(|scope| {
        let (f, chunk) = (&f, n.div_ceil(threads));
        let spawn = |start: usize| scope.spawn(move || (start..n.min(start + chunk)).map(f).collect());
        let running: Vec<_> = (0..n).step_by(chunk.max(1)).map(spawn).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)))
            .collect()
    });
    Ok(parts.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::evaluate::{Statistics, frechet_distance_of_features};
    use crate::extract::Identity;

    fn normal(seed: u64, n: usize, d: usize) -> FeatureSet {
        let identity = Identity { name: "normal".into(), resize: "none".into(), weights_sha256: None };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rows = Array2::from_shape_simple_fn((n, d), || StandardNormal.sample(&mut rng));
        FeatureSet::from_rows(identity, rows.view()).unwrap()
    }

    #[test]
    fn a_weighted_set_is_the_set_with_images_repeated() {
        // Few images and few dimensions; a singular reference and a full one.
        for (n, d, real) in [(60, 8, 40), (12, 40, 90), (30, 20, 9)] {
            let (set, reference) = (normal(1, n, d), normal(2, real, d));
            let target = Gaussian::of_statistics(&Statistics::of(&reference).unwrap()).unwrap();
            let bootstrap = Bootstrap::default();
            let weights: Vec<_> = (0..3).map(|r| bootstrap.weights(r, n)).collect();
            let projected = Projected::new(&set, &target, &weights).unwrap();
            assert_eq!(projected.products.is_some(), d == 40);
            for (r, weights) in weights.iter().enumerate() {
                let repeated: Vec<usize> =
                    (0..n).flat_map(|i| std::iter::repeat_n(i, weights[i] as usize)).collect();
                let rows = set.gather(&repeated).unwrap();
                let drawn = FeatureSet::from_rows(set.identity().clone(), rows.view()).unwrap();
                let direct = frechet_distance_of_features(&drawn, &reference).unwrap();
                let fast = projected.distance(r, weights).unwrap();
                assert!((direct - fast).abs() <= 1e-6 * direct, "{n} {d}: {direct} against {fast}");
            }
        }
    }
}
