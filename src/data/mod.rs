//! Data sets as they are on disk: IDX files, folders of images, `.npz`.
//!
//! A reader takes no size on trust: what a header claims is compared with what the stream really holds, and
//! memory grows with the bytes that were read, never with a claim.

use std::path::PathBuf;

mod error;
mod fashion;
mod idx;
mod labelled;

pub use error::DataError;
pub use fashion::{FASHION_CLASSES, FashionMnist};
pub use idx::Idx;
pub use labelled::LabelledImages;

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
