//! Kernel distance: the squared maximum mean discrepancy under k(x, y) = (x·y/d + 1)³ (Bińkowski et al. 2018).
//!
//! The value is the mean of the unbiased estimate over random subsets, as every program prints it. Subsets
//! of one sample overlap, so their spread says little of how the value would change with other images; the
//! standard error comes from a delete-one jackknife of the estimate over the whole sets instead.

use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::linear_algebra::{times_transposed, widen};
use super::metric_error::check_comparable;
use super::{Estimate, FeatureSet, MetricError};

/// Rows of a kernel block.
const BLOCK: usize = 1024;
/// Images per subset where there are enough.
const SUBSET_SIZE: usize = 1000;

/// How subsets are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KidOptions {
    /// How many subsets.
    pub subsets: usize,
    /// Images per subset and set; `None`: 1,000, or as many as the smaller set has.
    pub subset_size: Option<usize>,
    /// Which subsets.
    pub seed: u64,
}

impl Default for KidOptions {
    fn default() -> Self {
        Self { subsets: 100, subset_size: None, seed: 0 }
    }
}

/// A kernel distance and what is known of its error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kid {
    /// Mean of MMD² over the subsets.
    pub value: f64,
    /// Standard error of the value: jackknife over the images of both sets, and the choice of subsets.
    pub standard_error: f64,
    /// Standard deviation of MMD² over the subsets (with 1/n, as torch-fidelity); 0 where a subset is all.
    pub subset_deviation: f64,
    /// Images per subset.
    pub subset_size: usize,
    /// MMD² over the whole sets.
    pub full: f64,
}

impl Kid {
    /// The value with its standard error.
    pub fn estimate(&self) -> Estimate {
        Estimate { value: self.value, standard_error: self.standard_error }
    }
}

/// Kernel distance between two sets, in O(N²) time and memory that does not grow with N.
///
/// # Errors
/// Features of different extractors or widths; fewer than 3 images; no subsets; subsets of fewer than 2,
/// or larger than a set.
pub fn kid(a: &FeatureSet, b: &FeatureSet, options: &KidOptions) -> Result<Kid, MetricError> {
    let smaller = a.len().min(b.len());
    if smaller < 3 {
        return Err(MetricError::TooFew { what: "kernel distance", least: 3, got: smaller as u64 });
    }
    if options.subsets == 0 {
        return Err(MetricError::Option { name: "KID subsets", expected: "at least 1", got: 0 });
    }
    let size = options.subset_size.unwrap_or(SUBSET_SIZE.min(smaller));
    if !(2..=smaller).contains(&size) {
        return Err(MetricError::SubsetSize { size, images: smaller });
    }
    let (full, jackknife) = KernelSums::of(a, b)?.estimate();
    let whole = size == a.len() && size == b.len();
    // One at a time: the indices of many subsets would fill memory.
    let of_subset = |k| Ok(kid_of_subsets(a, b, &[draw(k, a.len(), b.len(), size, options.seed)])?[0]);
    let mmd: Vec<f64> = match whole {
        true => vec![full],
        false => (0..options.subsets as u64).map(of_subset).collect::<Result<_, MetricError>>()?,
    };

    let n = mmd.len() as f64;
    let value = mmd.iter().sum::<f64>() / n;
    let variance = mmd.iter().map(|v| (v - value).powi(2)).sum::<f64>() / n;
    Ok(Kid {
        value,
        standard_error: (jackknife + variance / n).sqrt(),
        subset_deviation: variance.sqrt(),
        subset_size: size,
        full,
    })
}

/// MMD² of given subsets, by the indices of both sets.
///
/// # Errors
/// Features of different extractors or widths; a subset larger than its set, of fewer than 2, or whose two
/// halves differ in size; an index beyond the set.
pub fn kid_of_subsets(
    a: &FeatureSet,
    b: &FeatureSet,
    subsets: &[(Vec<usize>, Vec<usize>)],
) -> Result<Vec<f64>, MetricError> {
    check_comparable((Some(a.identity()), a.width()), (Some(b.identity()), b.width()))?;
    let mut values = Vec::with_capacity(subsets.len());
    for (left, right) in subsets {
        for (set, indices) in [(a, left), (b, right)] {
            check_subset(indices, left.len(), set.len())?;
        }
        let x = widen(a.gather(left)?.view());
        let y = widen(b.gather(right)?.view());
        values.push(mmd(&x, &y));
    }
    Ok(values)
}

fn check_subset(indices: &[usize], size: usize, images: usize) -> Result<(), MetricError> {
    if indices.len() != size || size > images || size < 2 {
        return Err(MetricError::SubsetSize { size: indices.len(), images });
    }
    match indices.iter().find(|&&i| i >= images) {
        Some(&index) => Err(MetricError::Index { index, images }),
        None => Ok(()),
    }
}

/// Subset k of each set: `size` ≤ N images without replacement, one keystream each.
fn draw(k: u64, a: usize, b: usize, size: usize, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let subset = |n: usize, stream: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        let mut indices: Vec<usize> = (0..n).collect();
        for i in 0..size {
            indices.swap(i, rng.random_range(i..n));
        }
        indices.truncate(size);
        indices
    };
    (subset(a, 2 * k), subset(b, 2 * k + 1))
}

/// (x·y/d + 1)³ for rows of X `[m, d]` and Y `[n, d]`, `[m, n]`.
fn kernel(x: &Array2<f64>, y: &Array2<f64>) -> Array2<f64> {
    let gamma = 1.0 / x.ncols() as f64;
    let mut k = times_transposed(x, y);
    k.mapv_inplace(|dot| {
        let base = dot * gamma + 1.0;
        base * base * base
    });
    k
}

/// Unbiased MMD² between two sets of rows of equal size.
fn mmd(x: &Array2<f64>, y: &Array2<f64>) -> f64 {
    let m = x.nrows() as f64;
    let apart = |k: &Array2<f64>| k.sum() - k.diag().sum();
    let within = apart(&kernel(x, x)) + apart(&kernel(y, y));
    within / (m * (m - 1.0)) - 2.0 * kernel(x, y).sum() / (m * m)
}

/// Row sums of the three kernel matrices, the diagonals of the square ones left out.
struct KernelSums {
    xx: Vec<f64>,
    yy: Vec<f64>,
    xy: Vec<f64>,
    yx: Vec<f64>,
}

impl KernelSums {
    fn of(a: &FeatureSet, b: &FeatureSet) -> Result<Self, MetricError> {
        check_comparable((Some(a.identity()), a.width()), (Some(b.identity()), b.width()))?;
        let mut sums =
            Self { xx: within(a)?, yy: within(b)?, xy: vec![0.0; a.len()], yx: vec![0.0; b.len()] };
        for left in a.blocks(BLOCK) {
            let x = widen(a.rows(left.clone())?.view());
            for right in b.blocks(BLOCK) {
                let k = kernel(&x, &widen(b.rows(right.clone())?.view()));
                add_rows(&mut sums.xy[left.clone()], &k);
                add_columns(&mut sums.yx[right], &k);
            }
        }
        Ok(sums)
    }

    /// MMD² and the jackknife estimate of its variance.
    fn estimate(&self) -> (f64, f64) {
        let (m, n) = (self.xx.len() as f64, self.yy.len() as f64);
        let xx: f64 = self.xx.iter().sum();
        let yy: f64 = self.yy.iter().sum();
        let xy: f64 = self.xy.iter().sum();
        let value = xx / (m * (m - 1.0)) + yy / (n * (n - 1.0)) - 2.0 * xy / (m * n);
        // Without image i of a set of `size` whose pairs sum to `all`; the other set's own term is the same for
        // each i and cancels.
        let without = |own: &[f64], cross: &[f64], all: f64, size: f64, other: f64| -> f64 {
            let left_out = |(r, c): (&f64, &f64)| {
                (all - 2.0 * r) / ((size - 1.0) * (size - 2.0)) - 2.0 * (xy - c) / ((size - 1.0) * other)
            };
            let values: Vec<f64> = own.iter().zip(cross).map(left_out).collect();
            let mean = values.iter().sum::<f64>() / size;
            (size - 1.0) / size * values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
        };
        let variance = without(&self.xx, &self.xy, xx, m, n) + without(&self.yy, &self.yx, yy, n, m);
        (value, variance)
    }
}

/// Σ_{j ≠ i} k(x_i, x_j) for each i; each pair of blocks is worked out once.
fn within(set: &FeatureSet) -> Result<Vec<f64>, MetricError> {
    let mut sums = vec![0.0; set.len()];
    for left in set.blocks(BLOCK) {
        let x = widen(set.rows(left.clone())?.view());
        for right in set.blocks(BLOCK).filter(|r| r.start >= left.start) {
            let mut k = if right == left {
                kernel(&x, &x)
            } else {
                kernel(&x, &widen(set.rows(right.clone())?.view()))
            };
            if right == left {
                k.diag_mut().fill(0.0);
            } else {
                add_columns(&mut sums[right], &k);
            }
            add_rows(&mut sums[left.clone()], &k);
        }
    }
    Ok(sums)
}

fn add_rows(sums: &mut [f64], k: &Array2<f64>) {
    for (sum, row) in sums.iter_mut().zip(k.rows()) {
        *sum += row.sum();
    }
}

fn add_columns(sums: &mut [f64], k: &Array2<f64>) {
    for row in k.rows() {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
}
