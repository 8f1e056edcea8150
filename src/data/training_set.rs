//! Images with classes, as a trainer sees them.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};

use super::idx_pair::IdxPair;
use super::{DataError, FASHION_CLASSES, FashionMnist, class_folders, labelled_array, named_images};
use crate::digest::hex;

/// Images and their classes, in memory that threads can share.
#[derive(Clone, PartialEq, Eq)]
pub struct TrainingSet {
    /// `[N, C, H, W]`: a batch is one copy an image.
    pub pixels: Vec<u8>,
    /// `[N]`, each in 0 … classes − 1.
    pub labels: Vec<i64>,
    /// `[C, H, W]`.
    pub shape: [usize; 3],
    /// The classes' names where the source has them: the names of folders, Fashion-MNIST's; else none.
    pub classes: Vec<String>,
    /// Images that could not be read, and are in none of the above.
    pub skipped: Vec<Skipped>,
    /// SHA-256 of shape, pixels and labels, hex: names the data in a run's settings, wherever they lie and in
    /// whatever form.
    pub sha256: String,
    /// What was asked for.
    pub name: String,
}

/// What a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// `[C, H, W]` of an image.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

/// An image that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What a source holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Content {
    pub pixels: Vec<u8>, // [N, C, H, W]
    pub labels: Vec<i64>,
    pub classes: Vec<String>,
    pub skipped: Vec<Skipped>,
}

impl TrainingSet {
    /// Reads all images and labels of a source:
    ///
    /// - `fashion-mnist` (or `data:fashion-mnist/train`; `data:fashion-mnist/test` for the held-out part), found as
    ///   [`FashionMnist::find`] does;
    /// - a folder with `train-images-idx3-ubyte` (or `-idx4-`) and `train-labels-idx1-ubyte`, plain or `.gz`: bytes
    ///   `[N, H, W]` or `[N, H, W, C]`, and bytes `[N]`;
    /// - any other folder: one sub-folder of PNG and JPEG images a class. Classes are sorted by name, byte by byte
    ///   (`10` stands before `2`), and so are the images of each; hidden files and folders, files beside the class
    ///   folders, and folders inside them are left out;
    /// - an `.npz` with `arr_0`, u8 `[N, H, W]` or `[N, H, W, C]`, and `arr_1`, integers `[N]`.
    ///
    /// A path that exists as typed is taken as typed. Nothing is resized. Grey images become colour by repetition;
    /// colour images become grey only where the three channels of every pixel agree. Unreadable images of
    /// a folder are left out and listed in [`TrainingSet::skipped`], as long as they are at most 1 %; a truncated
    /// JPEG is one of them, a file that the system refuses to read is an error.
    ///
    /// # Errors
    /// None of these; an empty one; images of another size than wanted; another number of classes where the source
    /// names its classes, a class without images, a label that is no class; a damaged or cut file; more than 1 % of
    /// unreadable images.
    pub fn open(source: &str, wanted: &Wanted) -> Result<Self, DataError> {
        let path = Path::new(source);
        let content = match std::fs::metadata(path) {
            Ok(info) if info.is_dir() => read_folder(path, wanted)?,
            Ok(_) => read_file(path, wanted)?,
            Err(error) if error.kind() == ErrorKind::NotFound => read_named(source, wanted)?,
            Err(error) => return Err(DataError::Io { file: path.to_owned(), source: error }),
        };
        let Content { mut pixels, labels, classes, skipped } = content;
        pixels.shrink_to_fit();
        let sha256 = digest(wanted.shape, &pixels, &labels);
        Ok(Self { pixels, labels, shape: wanted.shape, classes, skipped, sha256, name: source.to_owned() })
    }

    /// N.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The first n in the source's order (in a folder of classes: class after class), or all if there are fewer;
    /// their digest is their own.
    pub fn first(mut self, n: usize) -> Self {
        if n < self.len() {
            self.labels.truncate(n);
            self.pixels.truncate(n * self.image_len());
            self.sha256 = digest(self.shape, &self.pixels, &self.labels);
        }
        self
    }

    /// Image i, `[C, H, W]`.
    ///
    /// # Panics
    /// i is not below [`TrainingSet::len`].
    pub fn image(&self, i: usize) -> &[u8] {
        let size = self.image_len();
        &self.pixels[i * size..][..size]
    }

    fn image_len(&self) -> usize {
        self.shape.iter().product()
    }
}

impl fmt::Debug for TrainingSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainingSet")
            .field("name", &self.name)
            .field("len", &self.len())
            .field("shape", &self.shape)
            .field("classes", &self.classes)
            .field("skipped", &self.skipped)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

impl Wanted {
    /// Images of a file are of the wanted `[H, W]`.
    pub(super) fn check_size(&self, file: &Path, got: [usize; 2]) -> Result<(), DataError> {
        let [_, height, width] = self.shape;
        let expected = [height, width];
        match got == expected {
            true => Ok(()),
            false => Err(DataError::ImageSize { file: file.to_owned(), expected, got }),
        }
    }

    /// A source that names its classes has as many as are wanted.
    pub(super) fn check_classes(&self, path: &Path, names: &[String]) -> Result<(), DataError> {
        match names.len() == self.classes {
            true => Ok(()),
            false => Err(DataError::ClassCount {
                path: path.to_owned(),
                expected: self.classes,
                got: names.len(),
                names: names.to_vec(),
            }),
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.reason)
    }
}

fn read_folder(folder: &Path, wanted: &Wanted) -> Result<Content, DataError> {
    match IdxPair::find(folder) {
        Some(pair) => pair.read(wanted),
        None => {
            let threads = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
            class_folders::read(folder, wanted, threads)
        }
    }
}

fn read_file(file: &Path, wanted: &Wanted) -> Result<Content, DataError> {
    let mut magic = vec![];
    let read = File::open(file).and_then(|f| f.take(4).read_to_end(&mut magic));
    read.map_err(|source| DataError::Io { file: file.to_owned(), source })?;
    match magic.as_slice() {
        [b'P', b'K', ..] => labelled_array::read(file, wanted),
        other => Err(DataError::NotATrainingSet {
            path: file.to_owned(),
            reason: format!("a file that starts with {other:02x?}"),
        }),
    }
}

fn read_named(name: &str, wanted: &Wanted) -> Result<Content, DataError> {
    let pair = match name {
        "fashion-mnist" | "data:fashion-mnist/train" => FashionMnist::find(None)?.train_pair(),
        "data:fashion-mnist/test" => FashionMnist::find(None)?.test_pair(),
        _ => {
            if let Some(unknown) = name.strip_prefix("data:") {
                named_images(unknown)?;
            }
            let reason = "there is no such file or folder".to_owned();
            return Err(DataError::NotATrainingSet { path: name.into(), reason });
        }
    };
    let classes: Vec<String> = FASHION_CLASSES.map(str::to_owned).into();
    wanted.check_classes(Path::new(name), &classes)?;
    Ok(Content { classes, ..pair.read(wanted)? })
}

/// SHA-256 of the shape `[N, C, H, W]`, the pixels and the labels, all numbers as little-endian u64.
fn digest(shape: [usize; 3], pixels: &[u8], labels: &[i64]) -> String {
    let mut hash = Sha256::new();
    for size in [labels.len()].iter().chain(&shape) {
        hash.update((*size as u64).to_le_bytes());
    }
    hash.update(pixels);
    for label in labels {
        hash.update(label.to_le_bytes());
    }
    hex(&hash.finalize())
}
