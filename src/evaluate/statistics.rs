//! Mean and covariance of features: all that the Fréchet distance needs.

use std::path::Path;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::feature_set::{WIDEST, check_rows, read_identity, write_identity};
use super::linear_algebra::{add_gram, mean_row, mirror_lower, widen};
use super::metric_error::check_comparable;
use super::{FeatureSet, MetricError};
use crate::data::{ArrayFile, ArrayWriter};
use crate::extract::Identity;
use crate::output::write_atomically;

/// Rows taken from a [`FeatureSet`] at a time.
const BLOCK: usize = 256;

/// Mean and covariance of N feature vectors, gathered in one pass, merged without loss.
///
/// Sums are kept about the running mean, in f64 (Chan, Golub & LeVeque 1983). They depend on the sequence of
/// blocks pushed and on nothing else.
#[derive(Debug, Clone)]
pub struct Statistics {
    identity: Option<Identity>,
    n: u64,
    /// Whether N is known: other programs' files do not say it.
    counted: bool,
    mean: Array1<f64>,
    /// Σ (x − μ)(x − μ)ᵀ, lower triangle; the covariance itself where N is not known.
    scatter: Array2<f64>,
}

impl Statistics {
    /// Of nothing yet; features `width` wide.
    pub fn new(identity: Identity, width: usize) -> Self {
        Self {
            identity: Some(identity),
            n: 0,
            counted: true,
            mean: Array1::zeros(width),
            scatter: Array2::zeros((width, width)),
        }
    }

    /// Of all rows of a set.
    pub fn of(set: &FeatureSet) -> Result<Self, MetricError> {
        let mut statistics = Self::new(set.identity().clone(), set.width());
        for range in set.blocks(BLOCK) {
            statistics.push(set.rows(range)?.view())?;
        }
        Ok(statistics)
    }

    /// Which features; `None` for a file of another program.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// N; `None` for a file of another program, which does not say it.
    pub fn count(&self) -> Option<u64> {
        self.counted.then_some(self.n)
    }

    /// d.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// Whether of nothing.
    pub fn is_empty(&self) -> bool {
        self.counted && self.n == 0
    }

    /// μ, `[d]`.
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// Σ with N − 1, as `np.cov`, `[d, d]`. Zero for N < 2.
    pub fn covariance(&self) -> Array2<f64> {
        let mut sigma = self.scatter.clone();
        if self.counted {
            sigma /= self.n.saturating_sub(1).max(1) as f64;
        }
        mirror_lower(&mut sigma);
        sigma
    }

    /// Adds rows, `[n, d]`.
    ///
    /// # Errors
    /// Rows of another width; a feature that is not finite; N is not known.
    pub fn push(&mut self, rows: ArrayView2<f32>) -> Result<(), MetricError> {
        self.check_counted()?;
        check_rows(rows, self.width(), self.n)?;
        if rows.nrows() == 0 {
            return Ok(());
        }
        let (n, m) = (self.n as f64, rows.nrows() as f64);
        let rows = widen(rows);
        let mean = mean_row(&rows);
        let delta = &mean - &self.mean;
        // The block's own scatter and what the means' difference adds to it, n·m/(n+m)·δδᵀ, in one product.
        let mut deviations = Array2::zeros((rows.nrows() + 1, self.width()));
        deviations.slice_mut(s![..rows.nrows(), ..]).assign(&(&rows - &mean.insert_axis(Axis(0))));
        deviations.row_mut(rows.nrows()).assign(&(&delta * (n * m / (n + m)).sqrt()));
        add_gram(&mut self.scatter, &deviations);
        self.mean.scaled_add(m / (n + m), &delta);
        self.n += rows.nrows() as u64;
        Ok(())
    }

    /// Adds all that another has seen.
    ///
    /// # Errors
    /// Features of another extractor, or of another width; N is not known of one of them.
    pub fn merge(&mut self, other: &Statistics) -> Result<(), MetricError> {
        self.check_comparable(other)?;
        self.check_counted()?;
        other.check_counted()?;
        if other.n == 0 {
            return Ok(());
        }
        let (n, m) = (self.n as f64, other.n as f64);
        let delta = &other.mean - &self.mean;
        self.scatter += &other.scatter;
        add_gram(&mut self.scatter, &(&delta * (n * m / (n + m)).sqrt()).insert_axis(Axis(0)));
        self.mean.scaled_add(m / (n + m), &delta);
        self.n += other.n;
        Ok(())
    }

    /// Refuses statistics of other features.
    pub(super) fn check_comparable(&self, other: &Statistics) -> Result<(), MetricError> {
        check_comparable((self.identity(), self.width()), (other.identity(), other.width()))
    }

    fn check_counted(&self) -> Result<(), MetricError> {
        if self.counted { Ok(()) } else { Err(MetricError::Uncounted) }
    }

    /// Writes `mu` and `sigma`, which pytorch-fid and clean-fid read, and `n` and `identity` (JSON as u8), to an
    /// `.npz` file. The arrays are f64.
    pub fn write(&self, file: &Path) -> Result<(), MetricError> {
        if self.counted && self.n < 2 {
            return Err(MetricError::TooFew { what: "covariance", least: 2, got: self.n });
        }
        let d = self.width();
        write_atomically(file, |to| {
            let mut arrays = ArrayWriter::new(file, to);
            arrays.begin("mu", "<f8", &[d])?;
            arrays.write_f64(self.mean.iter().copied())?;
            arrays.begin("sigma", "<f8", &[d, d])?;
            arrays.write_f64(self.covariance().iter().copied())?;
            if let Some(n) = self.count() {
                arrays.begin("n", "<i8", &[])?;
                arrays.write(&n.to_le_bytes())?;
            }
            if let Some(identity) = &self.identity {
                write_identity(&mut arrays, identity)?;
            }
            arrays.finish()
        })?;
        Ok(())
    }

    /// Reads `mu` and `sigma`, of this program or another; f64 or f32.
    ///
    /// # Errors
    /// The file is no `.npz`; an array is missing, or of another type or shape; d > 16,384; sigma is not square,
    /// not symmetric, or has a negative variance; a number is not finite; an entry of more than 1 MiB
    /// claims over 200 times its bytes in the file.
    pub fn read(file: &Path) -> Result<Self, MetricError> {
        let mut arrays = ArrayFile::open(file)?;
        let mut mu = arrays.array("mu")?;
        let expected = "[d] with d from 1 to 16384";
        let &[width] = mu.shape(1, expected)? else { return Err(mu.wrong_shape(expected).into()) };
        if !(1..=WIDEST).contains(&width) {
            return Err(mu.wrong_shape(expected).into());
        }
        let mean = Array1::from_vec(mu.read_f64()?);
        drop(mu);

        let mut sigma = arrays.array("sigma")?;
        let expected = format!("[{width}, {width}], for `mu` has {width},");
        if sigma.shape(2, &expected)? != [width, width] {
            return Err(sigma.wrong_shape(&expected).into());
        }
        let d = width as usize;
        // Symmetric: rows or columns first is the same.
        let values = sigma.read_f64()?;
        let mut scatter = Array2::from_shape_vec((d, d), values).unwrap_or_else(|_| Array2::zeros((d, d)));
        check_covariance(&scatter).map_err(|reason| sigma.wrong_value(reason))?;
        drop(sigma);

        let count = if arrays.has("n") { Some(arrays.array("n")?.read_count()?) } else { None };
        if let Some(n @ 0..2) = count {
            return Err(MetricError::TooFew { what: "covariance", least: 2, got: n });
        }
        let identity = if arrays.has("identity") { Some(read_identity(file, &mut arrays)?) } else { None };
        if let Some(n) = count {
            scatter *= (n - 1) as f64;
        }
        Ok(Self { identity, n: count.unwrap_or(0), counted: count.is_some(), mean, scatter })
    }
}

/// Why a matrix is no covariance, apart from rounding.
fn check_covariance(sigma: &Array2<f64>) -> Result<(), String> {
    let largest = sigma.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    let tolerance = 1e-6 * largest;
    for i in 0..sigma.nrows() {
        if sigma[[i, i]] < -tolerance {
            return Err(format!("no covariance: variance {i} is {}", sigma[[i, i]]));
        }
        for j in 0..i {
            let (below, above) = (sigma[[i, j]], sigma[[j, i]]);
            if (below - above).abs() > tolerance {
                return Err(format!("not symmetric: [{i}, {j}] is {below}, [{j}, {i}] is {above}"));
            }
        }
    }
    Ok(())
}
