//! Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).
//!
//! A set's manifold is the union of balls around its images, each reaching to its k-th nearest neighbour in
//! the same set. Distances come from ‖x‖² + ‖y‖² − 2x·y, block by block; wherever rounding in that could
//! change a comparison the distance is worked out again as Σ (x − y)², so that counts equal the definition's.

use std::ops::Range;

use ndarray::{Array1, Array2, Axis};

use super::linear_algebra::{times_transposed, widen};
use super::metric_error::check_comparable;
use super::{FeatureSet, MetricError};

/// Rows of a block of distances.
const BLOCK: usize = 1024;

/// How far the balls reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifoldOptions {
    /// k of precision and recall.
    pub precision_neighbours: usize,
    /// k of density and coverage.
    pub density_neighbours: usize,
}

impl Default for ManifoldOptions {
    fn default() -> Self {
        Self { precision_neighbours: 3, density_neighbours: 5 }
    }
}

/// Counts of images inside balls; the metrics are their shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifold {
    /// Drawn images.
    pub drawn: usize,
    /// Real images.
    pub real: usize,
    /// Drawn images inside a ball of a real one.
    pub precise: usize,
    /// Real images inside a ball of a drawn one.
    pub recalled: usize,
    /// Pairs of a drawn image and a real one in whose ball it lies.
    pub pairs_within: u64,
    /// Real images with a drawn one in their ball.
    pub covered: usize,
    /// k of density and coverage.
    pub density_neighbours: usize,
}

impl Manifold {
    /// Share of drawn images that are like real ones.
    pub fn precision(&self) -> f64 {
        self.precise as f64 / self.drawn as f64
    }

    /// Share of real images that are like drawn ones.
    pub fn recall(&self) -> f64 {
        self.recalled as f64 / self.real as f64
    }

    /// Real balls around a drawn image, on average, ÷ k; may exceed 1.
    pub fn density(&self) -> f64 {
        self.pairs_within as f64 / (self.density_neighbours as f64 * self.drawn as f64)
    }

    /// Share of real images that have a drawn one near.
    pub fn coverage(&self) -> f64 {
        self.covered as f64 / self.real as f64
    }
}

/// Compares drawn images with real ones, in O(N²) time and memory that grows with N by a few numbers an image.
///
/// As in their authors' programs, a ball holds its surface for precision and recall, and does not for density
/// and coverage.
///
/// # Errors
/// Features of different extractors or widths; no more images than neighbours.
pub fn manifold(
    drawn: &FeatureSet,
    real: &FeatureSet,
    options: &ManifoldOptions,
) -> Result<Manifold, MetricError> {
    check_comparable((Some(drawn.identity()), drawn.width()), (Some(real.identity()), real.width()))?;
    let ManifoldOptions { precision_neighbours, density_neighbours } = *options;
    if precision_neighbours == 0 || density_neighbours == 0 {
        return Err(MetricError::Option { name: "neighbours", expected: "at least 1", got: 0 });
    }
    let neighbours = precision_neighbours.max(density_neighbours);
    let fewest = drawn.len().min(real.len());
    if fewest <= neighbours {
        return Err(MetricError::TooFew {
            what: "precision and recall",
            least: (neighbours as u64).saturating_add(1),
            got: fewest as u64,
        });
    }

    let centre = mean(real)?;
    let real_nearest = nearest(real, &centre, neighbours)?;
    let drawn_nearest = nearest(drawn, &centre, precision_neighbours)?;
    let mut precise = vec![false; drawn.len()];
    let mut recalled = vec![false; real.len()];
    let mut covered = vec![false; real.len()];
    let mut pairs_within = 0;
    for left in real.blocks(BLOCK) {
        let x = Block::read(real, left.clone(), &centre)?;
        for right in drawn.blocks(BLOCK) {
            let y = Block::read(drawn, right.clone(), &centre)?;
            let distances = Distances::between(&x, &y);
            for (i, real_image) in left.clone().enumerate() {
                let around_real = real_nearest[real_image][precision_neighbours - 1];
                let dense = real_nearest[real_image][density_neighbours - 1];
                for (j, drawn_image) in right.clone().enumerate() {
                    let distance = distances.at(i, j);
                    precise[drawn_image] |= distance.at_most(around_real);
                    recalled[real_image] |=
                        distance.at_most(drawn_nearest[drawn_image][precision_neighbours - 1]);
                    if distance.below(dense) {
                        covered[real_image] = true;
                        pairs_within += 1;
                    }
                }
            }
        }
    }
    let count = |flags: &[bool]| flags.iter().filter(|&&flag| flag).count();
    Ok(Manifold {
        drawn: drawn.len(),
        real: real.len(),
        precise: count(&precise),
        recalled: count(&recalled),
        pairs_within,
        covered: count(&covered),
        density_neighbours,
    })
}

/// A point near all others: distances from there lose the least to rounding.
fn mean(set: &FeatureSet) -> Result<Array1<f64>, MetricError> {
    let mut sum = Array1::zeros(set.width());
    for range in set.blocks(BLOCK) {
        sum += &widen(set.rows(range)?.view()).sum_axis(Axis(0));
    }
    Ok(sum / set.len() as f64)
}

/// Squared distances from each image to its k nearest others, ascending.
fn nearest(set: &FeatureSet, centre: &Array1<f64>, k: usize) -> Result<Vec<Vec<f64>>, MetricError> {
    let mut nearest = vec![vec![f64::INFINITY; k]; set.len()];
    for left in set.blocks(BLOCK) {
        let x = Block::read(set, left.clone(), centre)?;
        for right in set.blocks(BLOCK).filter(|r| r.start >= left.start) {
            let y = Block::read(set, right.clone(), centre)?;
            let distances = Distances::between(&x, &y);
            for (i, first) in left.clone().enumerate() {
                for (j, second) in right.clone().enumerate().filter(|&(_, second)| second > first) {
                    let distance = distances.at(i, j);
                    if distance.may_be_below(nearest[first][k - 1].max(nearest[second][k - 1])) {
                        let exact = distance.exact();
                        insert(&mut nearest[first], exact);
                        insert(&mut nearest[second], exact);
                    }
                }
            }
        }
    }
    Ok(nearest)
}

/// Puts a distance into its place in an ascending list, whose last then falls out.
fn insert(list: &mut [f64], distance: f64) {
    let at = list.partition_point(|&d| d <= distance);
    if let Some(tail) = list.get_mut(at..)
        && !tail.is_empty()
    {
        tail.rotate_right(1);
        tail[0] = distance;
    }
}

/// Rows as they are, rows about the centre, and these rows' squared lengths.
struct Block {
    rows: Array2<f64>,
    centred: Array2<f64>,
    squares: Vec<f64>,
}

impl Block {
    fn read(set: &FeatureSet, range: Range<usize>, centre: &Array1<f64>) -> Result<Self, MetricError> {
        let rows = widen(set.rows(range)?.view());
        let centred = &rows - &centre.view().insert_axis(Axis(0));
        let squares = centred.rows().into_iter().map(|row| row.dot(&row)).collect();
        Ok(Self { rows, centred, squares })
    }
}

/// Squared distances between the rows of two blocks.
struct Distances<'a> {
    x: &'a Block,
    y: &'a Block,
    products: Array2<f64>,
    /// Relative to ‖x‖² + ‖y‖², more than rounding can amount to.
    slack: f64,
}

impl<'a> Distances<'a> {
    fn between(x: &'a Block, y: &'a Block) -> Self {
        let products = times_transposed(&x.centred, &y.centred);
        Self { x, y, products, slack: 4.0 * (x.rows.ncols() + 4) as f64 * f64::EPSILON }
    }

    #[inline]
    fn at(&self, i: usize, j: usize) -> Distance<'_> {
        let squares = self.x.squares[i] + self.y.squares[j];
        Distance { of: self, i, j, near: squares - 2.0 * self.products[[i, j]], slack: self.slack * squares }
    }
}

/// One squared distance, known to within `slack` until it is asked for exactly.
struct Distance<'a> {
    of: &'a Distances<'a>,
    i: usize,
    j: usize,
    near: f64,
    slack: f64,
}

impl Distance<'_> {
    #[inline]
    fn at_most(&self, bound: f64) -> bool {
        if (self.near - bound).abs() > self.slack { self.near < bound } else { self.exact() <= bound }
    }

    #[inline]
    fn below(&self, bound: f64) -> bool {
        if (self.near - bound).abs() > self.slack { self.near < bound } else { self.exact() < bound }
    }

    #[inline]
    fn may_be_below(&self, bound: f64) -> bool {
        self.near - self.slack < bound
    }

    /// Σ (x − y)².
    fn exact(&self) -> f64 {
        let (x, y) = (self.of.x.rows.row(self.i), self.of.y.rows.row(self.j));
        x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum()
    }
}
