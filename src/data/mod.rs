//! Data sets as they are on disk: IDX files, folders of images, `.npz`.
//!
//! A reader takes no size on trust: what a header claims is compared with what the stream really holds, and
//! memory grows with the bytes that were read, never with a claim.

use std::path::PathBuf;

mod array_file;
mod channels;
mod class_folders;
mod error;
mod fashion;
mod idx;
mod idx_pair;
pub(crate) mod image_file;
mod jpeg_end;
mod labelled;
mod labelled_array;
mod labels;
mod training_set;

pub use array_file::ArrayError;
pub(crate) use array_file::{ArrayFile, ArrayWriter};
pub use error::DataError;
pub use fashion::{FASHION_CLASSES, FashionMnist};
pub use idx::Idx;
pub use labelled::LabelledImages;
pub use training_set::{Skipped, TrainingSet, Wanted};

/// The most that compressed images are unpacked to. What is stored as it is may be of any size.
const MOST_UNPACKED: u64 = 4 << 30;

/// The images that have names, as `data:fashion-mnist/test`.
const NAMED: [&str; 2] = ["fashion-mnist/train", "fashion-mnist/test"];

/// The file of the images called `data:` and this name.
///
/// # Errors
/// No data set has the name, or it is not there.
pub fn named_images(name: &str) -> Result<PathBuf, DataError> {
    match name {
        "fashion-mnist/train" => Ok(FashionMnist::find(None)?.train_images_file()),
        "fashion-mnist/test" => Ok(FashionMnist::find(None)?.test_images_file()),
        _ => Err(DataError::Unknown { name: name.to_owned(), known: &NAMED }),
    }
}
