//! Features of a set of images, kept on disk.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ndarray::{Array2, ArrayView2};

use super::MetricError;
use super::metric_error::check_comparable;
use crate::data::{ArrayFile, ArrayWriter};
use crate::extract::Identity;
use crate::output::write_atomically;

/// Numbers held in memory while rows go to or from a file.
const CHUNK: usize = 1 << 16;
/// No feature vector is wider: a covariance of this width has 2 GiB.
pub(super) const WIDEST: u64 = 1 << 14;
/// Longest identity read.
pub(super) const LONGEST_IDENTITY: u64 = 1 << 16;

/// The features of N images, f32 `[N, d]`, in an unnamed file: memory does not grow with N.
#[derive(Debug)]
pub struct FeatureSet {
    identity: Identity,
    width: usize,
    len: usize,
    file: File,
}

impl FeatureSet {
    /// An empty set of features `width` wide. The file is in the folder for temporary files (`TMPDIR`) and goes
    /// with the set.
    pub fn new(identity: Identity, width: usize) -> io::Result<Self> {
        Ok(Self { identity, width, len: 0, file: tempfile::tempfile()? })
    }

    /// A set of these rows, `[N, d]`.
    pub fn from_rows(identity: Identity, rows: ArrayView2<f32>) -> Result<Self, MetricError> {
        let mut set = Self::new(identity, rows.ncols())?;
        set.push(rows)?;
        Ok(set)
    }

    /// Which features.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// N.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// d.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Adds rows, `[n, d]`, at the end.
    ///
    /// # Errors
    /// Rows of another width; a feature that is not finite; the disk is full. Nothing is added then.
    pub fn push(&mut self, rows: ArrayView2<f32>) -> Result<(), MetricError> {
        check_rows(rows, self.width, self.len as u64)?;
        let mut at = self.offset(self.len);
        let mut bytes = Vec::with_capacity(4 * CHUNK);
        let mut values = rows.iter().peekable();
        while values.peek().is_some() {
            bytes.clear();
            bytes.extend(values.by_ref().take(CHUNK).flat_map(|v| v.to_le_bytes()));
            self.file.write_all_at(&bytes, at)?;
            at += bytes.len() as u64;
        }
        self.len += rows.nrows();
        Ok(())
    }

    /// Adds all rows of another set at the end.
    ///
    /// # Errors
    /// Features of another extractor, or of another width.
    pub fn extend_from(&mut self, other: &FeatureSet) -> Result<(), MetricError> {
        check_comparable((Some(&self.identity), self.width), (Some(&other.identity), other.width))?;
        for range in other.blocks(self.rows_per_chunk()) {
            self.push(other.rows(range)?.view())?;
        }
        Ok(())
    }

    /// Rows of a range, `[n, d]`.
    pub fn rows(&self, range: Range<usize>) -> io::Result<Array2<f32>> {
        if range.end > self.len {
            return Err(beyond(range.end, self.len));
        }
        let n = range.end.saturating_sub(range.start);
        let mut values = Vec::with_capacity(n * self.width);
        self.read_into(range.start, n, &mut values)?;
        Ok(shaped(n, self.width, values))
    }

    /// Rows by index, in the order given, `[n, d]`.
    pub fn gather(&self, indices: &[usize]) -> io::Result<Array2<f32>> {
        let mut values = Vec::with_capacity(indices.len() * self.width);
        for &index in indices {
            if index >= self.len {
                return Err(beyond(index, self.len));
            }
            self.read_into(index, 1, &mut values)?;
        }
        Ok(shaped(indices.len(), self.width, values))
    }

    /// Ranges of `rows` rows that cover the set in order; the last may be shorter.
    pub(super) fn blocks(&self, rows: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let len = self.len;
        (0..len).step_by(rows.max(1)).map(move |start| start..len.min(start + rows.max(1)))
    }

    /// Writes `features`, f32 `[N, d]`, and `identity`, JSON as u8, to an `.npz` file that numpy reads too.
    pub fn write(&self, file: &Path) -> Result<(), MetricError> {
        let scratch = |source| crate::output::OutputError::Io { file: file.to_owned(), source };
        write_atomically(file, |to| {
            let mut arrays = ArrayWriter::new(file, to);
            arrays.begin("features", "<f4", &[self.len, self.width])?;
            for range in self.blocks(self.rows_per_chunk()) {
                let rows = self.rows(range).map_err(scratch)?;
                let bytes: Vec<u8> = rows.iter().flat_map(|v| v.to_le_bytes()).collect();
                arrays.write(&bytes)?;
            }
            write_identity(&mut arrays, &self.identity)?;
            arrays.finish()
        })?;
        Ok(())
    }

    /// Reads what [`FeatureSet::write`] wrote.
    pub fn read(file: &Path) -> Result<Self, MetricError> {
        let mut arrays = ArrayFile::open(file)?;
        let identity = read_identity(file, &mut arrays)?;
        let mut features = arrays.array("features")?;
        features.check_rows()?;
        let expected = "[N, d] with d from 1 to 16384";
        let &[n, width] = features.shape(2, expected)? else {
            return Err(features.wrong_shape(expected).into());
        };
        if !(1..=WIDEST).contains(&width) {
            return Err(features.wrong_shape(expected).into());
        }
        let (n, width) = (n as usize, width as usize);
        let mut set = Self::new(identity, width)?;
        while set.len < n {
            let rows = set.rows_per_chunk().min(n - set.len);
            let mut values = Vec::new();
            features.read_f32(rows * width, &mut values)?;
            set.push(shaped(rows, width, values).view())?;
        }
        features.finish()?;
        Ok(set)
    }

    fn read_into(&self, first: usize, n: usize, values: &mut Vec<f32>) -> io::Result<()> {
        let mut left = n * self.width;
        let mut at = self.offset(first);
        let mut bytes = vec![0; 4 * CHUNK.min(left)];
        while left > 0 {
            let part = &mut bytes[..4 * CHUNK.min(left)];
            self.file.read_exact_at(part, at)?;
            at += part.len() as u64;
            left -= part.len() / 4;
            let (items, _) = part.as_chunks::<4>();
            values.extend(items.iter().map(|&item| f32::from_le_bytes(item)));
        }
        Ok(())
    }

    fn offset(&self, row: usize) -> u64 {
        row as u64 * self.width as u64 * 4
    }

    fn rows_per_chunk(&self) -> usize {
        (CHUNK / self.width.max(1)).max(1)
    }
}

/// Refuses rows of another width, and numbers that are none. `before` images came before these.
pub(super) fn check_rows(rows: ArrayView2<f32>, width: usize, before: u64) -> Result<(), MetricError> {
    if rows.ncols() != width {
        return Err(MetricError::Widths { expected: width, got: rows.ncols() });
    }
    // All exponent bits set means NaN or infinity; without an early return this vectorises.
    if rows.iter().fold(false, |bad, v| bad | (v.to_bits() & 0x7f80_0000 == 0x7f80_0000)) {
        for ((row, column), &value) in rows.indexed_iter() {
            if !value.is_finite() {
                return Err(MetricError::NotFinite { image: before + row as u64, column, value });
            }
        }
    }
    Ok(())
}

/// Adds an identity to a file of arrays.
pub(super) fn write_identity<W: io::Write + io::Seek>(
    arrays: &mut ArrayWriter<W>,
    identity: &Identity,
) -> Result<(), crate::output::OutputError> {
    let json = serde_json::to_vec(identity).unwrap_or_default();
    arrays.begin("identity", "|u1", &[json.len()])?;
    arrays.write(&json)
}

/// Reads an identity from a file of arrays.
pub(super) fn read_identity(file: &Path, arrays: &mut ArrayFile) -> Result<Identity, MetricError> {
    let json = arrays.array("identity")?.read_bytes(LONGEST_IDENTITY)?;
    serde_json::from_slice(&json)
        .map_err(|e| MetricError::Identity { file: file.to_owned(), reason: e.to_string() })
}

fn shaped(n: usize, width: usize, values: Vec<f32>) -> Array2<f32> {
    debug_assert_eq!(values.len(), n * width);
    Array2::from_shape_vec((n, width), values).unwrap_or_else(|_| Array2::zeros((0, width)))
}

fn beyond(index: usize, len: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("row {index} of {len}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str) -> Identity {
        Identity { name: name.into(), resize: "none".into(), weights_sha256: None }
    }

    fn numbers(n: usize, width: usize, from: f32) -> Array2<f32> {
        Array2::from_shape_fn((n, width), |(i, j)| from + (i * width + j) as f32)
    }

    #[test]
    fn rows_come_back_by_range_and_by_index() {
        let mut set = FeatureSet::new(identity("a"), 3).unwrap();
        set.push(numbers(5, 3, 0.0).view()).unwrap();
        set.push(numbers(2, 3, 15.0).view()).unwrap();
        let all = numbers(7, 3, 0.0);
        assert_eq!(set.len(), 7);
        assert_eq!(set.rows(0..7).unwrap(), all);
        assert_eq!(set.rows(4..6).unwrap(), all.slice(ndarray::s![4..6, ..]));
        assert_eq!(set.rows(7..7).unwrap().nrows(), 0);
        assert_eq!(set.gather(&[6, 0, 0]).unwrap(), all.select(ndarray::Axis(0), &[6, 0, 0]));
        assert!(set.rows(6..8).is_err());
        assert!(set.gather(&[7]).is_err());
    }

    #[test]
    fn columns_may_be_pushed_in_any_layout() {
        let transposed = numbers(3, 4, 0.0);
        let set = FeatureSet::from_rows(identity("a"), transposed.t()).unwrap();
        assert_eq!(set.rows(0..4).unwrap(), transposed.t());
    }

    #[test]
    fn other_extractors_other_widths_and_nan_are_refused() {
        let mut set = FeatureSet::from_rows(identity("a"), numbers(2, 3, 0.0).view()).unwrap();
        let other = FeatureSet::from_rows(identity("b"), numbers(2, 3, 0.0).view()).unwrap();
        assert!(matches!(set.extend_from(&other), Err(MetricError::Extractors { .. })));
        let wide = FeatureSet::from_rows(identity("a"), numbers(2, 4, 0.0).view()).unwrap();
        assert!(matches!(set.extend_from(&wide), Err(MetricError::Widths { expected: 3, got: 4 })));
        let mut bad = numbers(2, 3, 0.0);
        bad[[1, 2]] = f32::NAN;
        let refused = set.push(bad.view());
        assert!(matches!(refused, Err(MetricError::NotFinite { image: 3, column: 2, .. })), "{refused:?}");
        assert_eq!(set.len(), 2);
    }

    #[test]
    fn a_file_holds_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("features.npz");
        // Wider than a chunk, so that several are written.
        let rows = numbers(3, CHUNK / 2 + 1, 0.5);
        let set = FeatureSet::from_rows(identity("a"), rows.slice(ndarray::s![.., ..9000])).unwrap();
        set.write(&file).unwrap();
        let mut back = FeatureSet::read(&file).unwrap();
        assert_eq!((back.identity(), back.width(), back.len()), (set.identity(), 9000, 3));
        assert_eq!(back.rows(0..3).unwrap(), set.rows(0..3).unwrap());
        back.extend_from(&set).unwrap();
        assert_eq!(back.rows(3..6).unwrap(), set.rows(0..3).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
