//! Images on disk: PNGs that say how they were made, contact sheets, heat maps of depths, `.npz` for evaluators.
//!
//! Every file is written beside its place and renamed, so that nothing is ever half there.

mod atomic;
mod folder;
mod heat_map;
mod json;
mod npz;
mod parameters;
mod pixels;
mod png;
mod sheet;
mod tensors;

pub use atomic::write_atomically;
#[cfg(any(feature = "bench", feature = "train"))]
pub(crate) use atomic::write_bytes;
#[cfg(feature = "train")]
pub(crate) use atomic::write_text;
pub use folder::{Existing, OutputFolder, check_writable, is_image_name};
pub use heat_map::{DepthMap, HeatMapError, depth_color, heat_map, write_heat_map};
pub(crate) use json::version_of;
pub use json::write_json;
pub use npz::{read_noise, write_npz};
pub use parameters::{ImageParameters, Parameters, RunParameters};
pub use pixels::{Pixels, read_image};
pub use png::{read_parameters, read_png, write_png};
pub use sheet::{contact_sheet, write_sheet};
pub(crate) use tensors::write_tensors;

use std::path::{Path, PathBuf};

/// Why a file cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The system refused.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder cannot be written to.
    #[error("{}: not writable: {source}", folder.display())]
    NotWritable {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder already holds images.
    #[error("{}: holds {images} images already; --resume continues them, --overwrite replaces them", folder.display())]
    HoldsImages {
        /// The folder.
        folder: PathBuf,
        /// How many.
        images: usize,
    },
    /// An image to be resumed was made with other settings.
    #[error("{}: made with {field} {got}, and this run has {expected}; --overwrite replaces it", file.display())]
    OtherSettings {
        /// The image.
        file: PathBuf,
        /// What differs.
        field: String,
        /// This run's value.
        expected: String,
        /// The image's.
        got: String,
    },
    /// Not an image, or a damaged one.
    #[error("{}: not a readable image: {reason}", file.display())]
    NotAnImage {
        /// The file.
        file: PathBuf,
        /// What the decoder says.
        reason: String,
    },
    /// A PNG that offramp did not make.
    #[error("{}: carries no offramp parameters", file.display())]
    NoParameters {
        /// The file.
        file: PathBuf,
    },
    /// An image of another size or mode.
    #[error("{}: {got}; {expected} is needed", file.display())]
    ImageSize {
        /// The file.
        file: PathBuf,
        /// The size and mode needed.
        expected: String,
        /// Its size and mode.
        got: String,
    },
    /// An array file that is damaged or of another type.
    #[error("{}: {reason}", file.display())]
    Array {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A model whose images are no pictures.
    #[error("images of {channels} channels cannot be written as PNG (1 or 3 can)")]
    Channels {
        /// C.
        channels: usize,
    },
    /// Images that do not go into one file together.
    #[error("images of {got:?} beside images of {expected:?} [H, W, C]")]
    MixedShapes {
        /// The first image's.
        expected: [usize; 3],
        /// The odd one's.
        got: [usize; 3],
    },
    /// Depths that are no map.
    #[error(transparent)]
    HeatMap(#[from] HeatMapError),
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

impl OutputError {
    /// For `map_err`: an I/O error of `file`.
    pub(crate) fn io(file: &Path) -> impl FnOnce(std::io::Error) -> OutputError + '_ {
        move |source| OutputError::Io { file: file.to_owned(), source }
    }
}
