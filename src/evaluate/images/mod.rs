//! Sets of images as they are on disk, read piece by piece.
//!
//! A set is a folder of PNG or JPEG images, an `.npz` with `arr_0` u8 `[N, H, W, C]` or `[N, H, W]`, or an
//! IDX file (MNIST's format, `.gz` or not); `data:fashion-mnist/train` and `…/test` are those that `make data`
//! fetches. `#FROM..TO` behind any of them takes a part, as `test.npz#0..5000`; either end may be left out. A path
//! that exists as typed is taken as typed.

mod array;
mod folder;

use std::ops::Range;
use std::path::{Path, PathBuf};

use self::array::ArrayFile;
use self::folder::Folder;
use super::EvaluateError;
use crate::data::named_images;
use crate::output::Pixels;

/// Values of the largest image taken; a micro-batch of many is in memory at once.
const LARGEST: usize = 1 << 26;

/// N images of one shape. Their pixels stay on disk until they are read.
#[derive(Debug)]
pub struct ImageSet {
    name: String,
    source: Source,
    /// The part of the source that is this set.
    part: Range<usize>,
}

#[derive(Debug)]
enum Source {
    Folder(Folder),
    Array(ArrayFile),
    Memory(Vec<Pixels>),
}

impl ImageSet {
    /// Opens a folder, an `.npz`, an IDX file or a named data set (`data:fashion-mnist/test`), or a part of one
    /// (`PATH#FROM..TO`).
    ///
    /// The header of every image of a folder is read.
    ///
    /// # Errors
    /// None of these; an empty one; images of several sizes or modes, or of more than 2²⁶ values; a damaged
    /// header; an array of another type or shape, or one that claims more than it holds; a range that leaves
    /// the set.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EvaluateError> {
        let path = path.as_ref();
        let (file, part) = split_range(path);
        let found = found(file)?;
        let source = match std::fs::metadata(&found).map_err(EvaluateError::io(&found))?.is_dir() {
            true => Source::Folder(Folder::open(&found)?),
            false => Source::Array(ArrayFile::open(&found)?),
        };
        let whole = Self { name: file.display().to_string(), part: 0..source.len(), source };
        match part {
            Some((from, to)) => {
                let to = to.unwrap_or(whole.len());
                let part = whole.part(from..to)?;
                Ok(Self { name: path.display().to_string(), ..part })
            }
            None => Ok(whole),
        }
    }

    /// Images that are in memory.
    ///
    /// # Errors
    /// Images of several shapes.
    pub fn of(name: impl Into<String>, images: Vec<Pixels>) -> Result<Self, EvaluateError> {
        let name = name.into();
        if let Some(odd) = images.iter().find(|i| i.shape != images[0].shape) {
            return Err(EvaluateError::OtherShape {
                shape_a: images[0].shape,
                shape_b: odd.shape,
                a: name.clone(),
                b: name,
            });
        }
        Ok(Self { name, part: 0..images.len(), source: Source::Memory(images) })
    }

    /// A part of the set.
    ///
    /// # Errors
    /// The range leaves the set.
    pub fn part(self, range: Range<usize>) -> Result<Self, EvaluateError> {
        self.check(&range)?;
        let part = self.part.start + range.start..self.part.start + range.end;
        Ok(Self { part, ..self })
    }

    /// The set as typed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// N.
    pub fn len(&self) -> usize {
        self.part.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.part.is_empty()
    }

    /// `[H, W, C]` of every image; C is 1 or 3. All 0 for no images in memory.
    pub fn shape(&self) -> [usize; 3] {
        match &self.source {
            Source::Folder(folder) => folder.shape(),
            Source::Array(array) => array.shape(),
            Source::Memory(images) => images.first().map_or([0; 3], |i| i.shape),
        }
    }

    /// The file names without their extensions, in order, where the images are files.
    pub fn names(&self) -> Option<Vec<&str>> {
        match &self.source {
            Source::Folder(folder) => Some(folder.names(self.part.clone())),
            Source::Array(_) | Source::Memory(_) => None,
        }
    }

    /// Reads the images of a range.
    ///
    /// # Errors
    /// The range leaves the set; a damaged image; a file that changed since it was opened.
    pub fn read(&self, range: Range<usize>) -> Result<Vec<Pixels>, EvaluateError> {
        self.check(&range)?;
        let range = self.part.start + range.start..self.part.start + range.end;
        match &self.source {
            Source::Folder(folder) => folder.read(range),
            Source::Array(array) => array.read(range),
            Source::Memory(images) => Ok(images[range].to_vec()),
        }
    }

    fn check(&self, range: &Range<usize>) -> Result<(), EvaluateError> {
        match range.start <= range.end && range.end <= self.len() {
            true => Ok(()),
            false => {
                let set = self.name.clone();
                Err(EvaluateError::Range { set, range: range.clone(), n: self.len() })
            }
        }
    }
}

impl Source {
    fn len(&self) -> usize {
        match self {
            Source::Folder(folder) => folder.len(),
            Source::Array(array) => array.len(),
            Source::Memory(images) => images.len(),
        }
    }
}

/// The path of what was typed: a path, or the name of a data set.
fn found(typed: &Path) -> Result<PathBuf, EvaluateError> {
    match typed.to_str().and_then(|t| t.strip_prefix("data:")) {
        Some(name) if !typed.exists() => Ok(named_images(name)?),
        _ => Ok(typed.to_owned()),
    }
}

/// Refuses images of which a micro-batch would fill memory.
fn check_size(path: &Path, shape: [usize; 3]) -> Result<(), EvaluateError> {
    match shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)) {
        Some(0..=LARGEST) => Ok(()),
        _ => Err(EvaluateError::LargeImages { path: path.to_owned(), shape, most: LARGEST }),
    }
}

/// From and to; no "to" is the end.
type Part = (usize, Option<usize>);

/// Splits `PATH#FROM..TO`.
fn split_range(path: &Path) -> (&Path, Option<Part>) {
    let split = || {
        let (file, range) = path.to_str()?.rsplit_once('#')?;
        let (from, to) = range.split_once("..")?;
        let number = |text: &str| text.parse::<usize>().ok();
        let from = if from.is_empty() { 0 } else { number(from)? };
        let to = if to.is_empty() { None } else { Some(number(to)?) };
        Some((Path::new(file), Some((from, to))))
    };
    if path.exists() { (path, None) } else { split().unwrap_or((path, None)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(values: &[u8]) -> Vec<Pixels> {
        values.iter().map(|&v| Pixels { shape: [2, 3, 1], data: vec![v; 6] }).collect()
    }

    #[test]
    fn a_range_is_split_off_at_the_last_number_sign() {
        for (typed, file, part) in [
            ("a.npz#3..7", "a.npz", Some((3, Some(7)))),
            ("a.npz#3..", "a.npz", Some((3, None))),
            ("a.npz#..7", "a.npz", Some((0, Some(7)))),
            ("a#b#..", "a#b", Some((0, None))),
            ("a#b", "a#b", None),
            ("a#1..x", "a#1..x", None),
            ("a#-1..4", "a#-1..4", None),
        ] {
            assert_eq!(split_range(Path::new(typed)), (Path::new(file), part), "{typed}");
        }
    }

    #[test]
    fn a_part_of_a_part_is_counted_from_its_start() {
        let set = ImageSet::of("six", grey(&[0, 1, 2, 3, 4, 5])).unwrap();
        let part = set.part(1..5).unwrap().part(1..4).unwrap();
        assert_eq!(part.len(), 3);
        assert_eq!(part.read(1..3).unwrap(), grey(&[3, 4]));
        for range in [2..4, Range { start: 2, end: 1 }] {
            assert!(matches!(part.read(range), Err(EvaluateError::Range { n: 3, .. })));
        }
    }
}
