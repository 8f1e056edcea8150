//! Fréchet distance between two normal distributions (Dowson & Landau 1982), as Heusel et al. 2017 use it.
//!
//! d² = ‖μ_a − μ_b‖² + tr Σ_a + tr Σ_b − 2 tr (Σ_a Σ_b)^½. With Σ = FᵀF the last trace is the sum of the singular
//! values of F_a F_bᵀ: no root of a matrix that is not symmetric is taken, nothing can come out complex, and
//! singular covariances (fewer images than features) are as exact as others.

use ndarray::{Array1, Array2, Axis};

use super::linear_algebra::{factor, mean_row, nuclear_norm, times_transposed, widen};
use super::metric_error::check_comparable;
use super::{FeatureSet, MetricError, Statistics};
use crate::extract::Identity;

/// Squares of larger covariances leave the f64s.
const LARGEST: f64 = 1e150;

/// A normal distribution by its mean and a factor of its covariance.
///
/// The factor is what a Fréchet distance costs, O(d³): a set that many others are compared with is factorised once.
#[derive(Debug, Clone)]
pub struct Gaussian {
    identity: Option<Identity>,
    /// μ, `[d]`.
    pub(super) mean: Array1<f64>,
    /// F, `[r, d]`, FᵀF = Σ.
    pub(super) factor: Array2<f64>,
    /// tr Σ.
    pub(super) trace: f64,
}

impl Gaussian {
    /// Of a mean and a covariance.
    ///
    /// # Errors
    /// N < 2; a covariance beyond 1e150.
    pub fn of_statistics(statistics: &Statistics) -> Result<Self, MetricError> {
        check_enough(statistics.count().unwrap_or(2))?;
        let sigma = statistics.covariance();
        // So that NaN is refused too.
        if !sigma.iter().all(|v| v.abs() < LARGEST) {
            return Err(MetricError::TooLarge);
        }
        Ok(Self {
            identity: statistics.identity().cloned(),
            mean: statistics.mean().clone(),
            factor: factor(&sigma)?,
            trace: sigma.diag().sum().max(0.0),
        })
    }

    /// Of features. Where N ≤ d, the centred features are the factor, and no covariance is made.
    ///
    /// # Errors
    /// N < 2; the system's.
    pub fn of_features(set: &FeatureSet) -> Result<Self, MetricError> {
        check_enough(set.len() as u64)?;
        if set.len() > set.width() {
            return Self::of_statistics(&Statistics::of(set)?);
        }
        let rows = widen(set.rows(0..set.len())?.view());
        let mean = mean_row(&rows);
        let factor = (rows - mean.view().insert_axis(Axis(0))) / ((set.len() - 1) as f64).sqrt();
        let trace = factor.iter().map(|v| v * v).sum();
        Ok(Self { identity: Some(set.identity().clone()), mean, factor, trace })
    }

    /// Fréchet distance (squared, as the field prints it).
    ///
    /// # Errors
    /// Features of different extractors or widths; a distance that is no finite number.
    pub fn distance(&self, other: &Gaussian) -> Result<f64, MetricError> {
        check_comparable(self.kind(), other.kind())?;
        let shift = (&self.mean - &other.mean).mapv(|v| v * v).sum();
        let root = nuclear_norm(&times_transposed(&self.factor, &other.factor))?;
        let distance = shift + self.trace + other.trace - 2.0 * root;
        // Rounding alone can take it below zero.
        if distance.is_finite() { Ok(distance.max(0.0)) } else { Err(MetricError::TooLarge) }
    }

    /// Which features, and d.
    pub(super) fn kind(&self) -> (Option<&Identity>, usize) {
        (self.identity.as_ref(), self.mean.len())
    }
}

/// Fréchet distance (squared, as the field prints it) between two sets by their statistics.
///
/// # Errors
/// Features of different extractors or widths; N < 2.
pub fn frechet_distance(a: &Statistics, b: &Statistics) -> Result<f64, MetricError> {
    a.check_comparable(b)?;
    Gaussian::of_statistics(a)?.distance(&Gaussian::of_statistics(b)?)
}

/// The same from the features themselves: faster, and exact to rounding, where N ≤ d.
///
/// # Errors
/// As [`frechet_distance`].
pub fn frechet_distance_of_features(a: &FeatureSet, b: &FeatureSet) -> Result<f64, MetricError> {
    check_comparable((Some(a.identity()), a.width()), (Some(b.identity()), b.width()))?;
    Gaussian::of_features(a)?.distance(&Gaussian::of_features(b)?)
}

fn check_enough(n: u64) -> Result<(), MetricError> {
    match n {
        0..2 => Err(MetricError::TooFew { what: "Fréchet distance", least: 2, got: n }),
        _ => Ok(()),
    }
}
