//! What the cells of the map show: an image at an evaluation, or where there are more of them than pixels, the mean
//! of some.

use std::collections::BTreeSet;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};

/// More classes than this are not told apart.
const MOST_BANDS: usize = 40;

/// Depths on their way into pixels.
#[derive(Debug, PartialEq)]
pub struct Cells {
    /// Mean depths, `[rows, columns]`.
    pub means: Array2<f64>,
    /// The images of each row, by place in the map.
    pub rows: Vec<Range<usize>>,
    /// Images in a row, at most.
    pub images: usize,
    /// Evaluations in a column; the last may have fewer.
    pub evaluations: usize,
    /// The rows of each class, where images are in the order of their classes; else all rows.
    pub bands: Vec<Range<usize>>,
}

impl Cells {
    /// At most `rows` rows, and one more for each class, of at most `columns` columns.
    ///
    /// `depths` is `[images, evaluations]`, `classes` each image's class, or empty.
    pub fn new(depths: ArrayView2<u16>, classes: &[String], rows: usize, columns: usize) -> Self {
        let (n, length) = depths.dim();
        let images = n.div_ceil(rows.max(1)).max(1);
        let evaluations = length.div_ceil(columns.max(1)).max(1);
        let (mut rows, mut bands) = (vec![], vec![]);
        for class in in_order(n, classes) {
            let first = rows.len();
            // No row holds images of two classes.
            rows.extend(class.clone().step_by(images).map(|k| k..(k + images).min(class.end)));
            bands.push(first..rows.len());
        }
        let columns: Vec<Range<usize>> =
            (0..length).step_by(evaluations).map(|e| e..(e + evaluations).min(length)).collect();
        let means = Array2::from_shape_fn((rows.len(), columns.len()), |(row, column)| {
            let cell = depths.slice(s![rows[row].clone(), columns[column].clone()]);
            cell.iter().map(|&depth| f64::from(depth)).sum::<f64>() / cell.len() as f64
        });
        Self { means, rows, images, evaluations, bands }
    }
}

/// The images of each class, if there are several, each in one piece; else all `n` images.
fn in_order(n: usize, classes: &[String]) -> Vec<Range<usize>> {
    let mut start = 0;
    let runs: Vec<Range<usize>> = classes
        .chunk_by(|a, b| a == b)
        .map(|run| {
            start += run.len();
            start - run.len()..start
        })
        .collect();
    let different: BTreeSet<&String> = classes.iter().collect();
    match runs.len() == different.len() && (2..=MOST_BANDS).contains(&runs.len()) {
        true => runs,
        false => std::iter::once(0..n).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(classes: &[u8]) -> Vec<String> {
        classes.iter().map(u8::to_string).collect()
    }

    #[test]
    fn classes_are_told_apart_where_each_is_in_one_piece() {
        assert_eq!(in_order(5, &names(&[3, 3, 1, 7, 7])), [0..2, 2..3, 3..5]);
        for mixed in [&[3, 1, 3][..], &[3, 3, 3], &[]] {
            assert_eq!(in_order(3, &names(mixed)), std::slice::from_ref(&(0..3)), "{mixed:?}");
        }
        let many: Vec<u8> = (0..=MOST_BANDS as u8).collect();
        assert_eq!(in_order(many.len(), &names(&many)), std::slice::from_ref(&(0..many.len())));
    }

    proptest! {
        /// Every image and every evaluation is in exactly one row and column, no row mixes classes, and the means are
        /// those of the depths.
        #[test]
        fn nothing_is_lost_in_averaging(
            n in 1usize..60, length in 1usize..30, of_class in 1usize..60, rows in 1usize..40, columns in 1usize..40,
            seed in 0usize..1000,
        ) {
            let depths = Array2::from_shape_fn((n, length), |(k, e)| (1 + (k * 7 + e * 3 + seed * k * e) % 12) as u16);
            let classes: Vec<String> = (0..n).map(|k| (k / of_class).to_string()).collect();
            let cells = Cells::new(depths.view(), &classes, rows, columns);
            let covered: Vec<usize> = cells.rows.iter().cloned().flatten().collect();
            prop_assert_eq!(covered, (0..n).collect::<Vec<_>>());
            let in_bands: Vec<usize> = cells.bands.iter().cloned().flatten().collect();
            prop_assert_eq!(in_bands, (0..cells.rows.len()).collect::<Vec<_>>());
            prop_assert!(cells.rows.len() <= rows + cells.bands.len());
            prop_assert!(cells.means.ncols() <= columns);
            prop_assert!(cells.rows.iter().all(|row| row.len() <= cells.images));
            if cells.bands.len() > 1 {
                prop_assert!(cells.rows.iter().all(|row| classes[row.start] == classes[row.end - 1]));
            }
            // Weighted by how many depths they stand for, the means add up.
            let sum: f64 = cells.means.indexed_iter().map(|((row, column), mean)| {
                let wide = cells.evaluations.min(length - column * cells.evaluations);
                mean * (cells.rows[row].len() * wide) as f64
            }).sum();
            let expected: f64 = depths.iter().map(|&d| f64::from(d)).sum();
            prop_assert!((sum - expected).abs() < 1e-9 * expected);
            if n <= rows && length <= columns {
                prop_assert_eq!(cells.means, depths.mapv(f64::from));
            }
        }
    }
}
