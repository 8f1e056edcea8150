//! Why sets of images cannot be evaluated.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{ArrayError, MetricError};
use crate::data::DataError;
use crate::extract::ExtractError;

/// Why sets of images cannot be read or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The system refused.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file for features or unpacked images could not be made or used.
    #[error("temporary file in {}: {source}", std::env::temp_dir().display())]
    Temporary {
        /// The system's reason.
        source: std::io::Error,
    },
    /// Neither a folder nor a file of a known kind.
    #[error("{}: not a folder of images, an .npz or an IDX file of images ({reason})", path.display())]
    NotASet {
        /// The path.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A folder without images.
    #[error("{}: no .png, .jpg or .jpeg in it", folder.display())]
    NoImages {
        /// The folder.
        folder: PathBuf,
    },
    /// Too few images for any statistics.
    #[error("{set}: {n} images; at least {least} are needed")]
    TooFew {
        /// The set as typed.
        set: String,
        /// N.
        n: u64,
        /// The least N.
        least: u64,
    },
    /// A range that leaves the set.
    #[error("{set}: images {}..{} of {n}", range.start, range.end)]
    Range {
        /// The set.
        set: String,
        /// What was asked for.
        range: Range<usize>,
        /// N.
        n: usize,
    },
    /// An image that differs from those before it.
    #[error("{}: {got}, and {} is {expected}; all images of a set are of one size and mode", file.display(), first.display())]
    MixedImages {
        /// The odd file.
        file: PathBuf,
        /// The size and mode of the first.
        expected: String,
        /// The odd one's.
        got: String,
        /// The first file.
        first: PathBuf,
    },
    /// Images that would fill memory.
    #[error("{}: images of {shape:?} [H, W, C] are too large; at most {most} values are taken", path.display())]
    LargeImages {
        /// The set, or the image.
        path: PathBuf,
        /// Of its images.
        shape: [usize; 3],
        /// The most values.
        most: usize,
    },
    /// Images of two sizes where one pixel is compared with one pixel.
    #[error("{a} has images of {shape_a:?} [H, W, C], {b} of {shape_b:?}")]
    OtherShape {
        /// One set.
        a: String,
        /// The other.
        b: String,
        /// Of the one.
        shape_a: [usize; 3],
        /// Of the other.
        shape_b: [usize; 3],
    },
    /// Sets that are compared image by image, and are of two sizes.
    #[error("{a} has {n_a} images, {b} has {n_b}; images are compared one by one")]
    OtherCount {
        /// One set.
        a: String,
        /// The other.
        b: String,
        /// Of the one.
        n_a: usize,
        /// Of the other.
        n_b: usize,
    },
    /// Features or statistics of two sets that cannot be compared, or of one that cannot be used.
    #[error("{a} and {b}: {source}")]
    Compared {
        /// One set.
        a: String,
        /// The other.
        b: String,
        /// Why.
        source: Box<MetricError>,
    },
    /// A number cannot be had, or statistics cannot be read.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// An `.npz` is refused.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// An image or an IDX file is refused.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A shard that is not one.
    #[error("shard {got}: I/N is needed, with I from 1 to N, as 1/4")]
    Shard {
        /// As typed.
        got: String,
    },
    /// A shard that has nothing to do.
    #[error("shard {shard} of {set} has no images: {n} images are {batches} micro-batches of {batch}")]
    EmptyShard {
        /// The shard.
        shard: String,
        /// The set.
        set: String,
        /// N.
        n: usize,
        /// Images in a micro-batch.
        batch: usize,
        /// Micro-batches.
        batches: usize,
    },
    /// The system gave no thread.
    #[error("no thread could be started: {0}")]
    Thread(std::io::Error),
    /// libtorch failed: out of memory, most often.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The extractor gave something else than it declared.
    #[error("the extractor gave features of shape {got:?}; {expected:?} was declared")]
    Declared {
        /// As declared.
        expected: Vec<i64>,
        /// As given.
        got: Vec<i64>,
    },
    /// The extractor failed.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// A setting with which exits cannot be looked at.
    #[error("{setting} {got}: {reason}")]
    HeldOut {
        /// Its name.
        setting: &'static str,
        /// Its value.
        got: String,
        /// Why not.
        reason: String,
    },
    /// An exit gave NaN or infinity.
    #[error("at time {t} an exit of one of images {}..{} is not finite", images.start, images.end)]
    ExitsNotFinite {
        /// The time.
        t: usize,
        /// The images of the micro-batch.
        images: Range<usize>,
    },
    /// The caller wants no more.
    #[error("stopped after {done} of {count} images")]
    Stopped {
        /// Images whose features are known.
        done: usize,
        /// Images in all.
        count: usize,
    },
}

impl EvaluateError {
    /// Whether the caller asked for something that cannot be, as opposed to something that went wrong on the
    /// way.
    pub fn is_bad_input(&self) -> bool {
        match self {
            EvaluateError::Io { source, .. } => {
                use std::io::ErrorKind::{
                    InvalidData, IsADirectory, NotADirectory, NotFound, PermissionDenied, UnexpectedEof,
                };
                matches!(
                    source.kind(),
                    NotFound | PermissionDenied | InvalidData | UnexpectedEof | IsADirectory | NotADirectory
                )
            }
            EvaluateError::Temporary { .. }
            | EvaluateError::Stopped { .. }
            | EvaluateError::Thread(_)
            | EvaluateError::Torch(_)
            | EvaluateError::ExitsNotFinite { .. }
            | EvaluateError::Declared { .. } => false,
            EvaluateError::Extract(error) => error.is_bad_input(),
            EvaluateError::Metric(error) => error.is_bad_input(),
            EvaluateError::Compared { source, .. } => source.is_bad_input(),
            EvaluateError::Array(error) => error.is_bad_input(),
            EvaluateError::Data(error) => error.is_bad_input(),
            _ => true,
        }
    }

    /// For `map_err`: an I/O error of `file`.
    pub(crate) fn io(file: &Path) -> impl FnOnce(std::io::Error) -> EvaluateError + '_ {
        move |source| EvaluateError::Io { file: file.to_owned(), source }
    }

    /// For `map_err`: an I/O error of an unnamed file.
    pub(crate) fn temporary(source: std::io::Error) -> EvaluateError {
        EvaluateError::Temporary { source }
    }
}
