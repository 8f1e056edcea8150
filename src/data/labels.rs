//! What must hold of labels.

use std::path::Path;

use super::DataError;

/// One label an image, each of them a class: 0 … `classes` − 1.
///
/// # Errors
/// [`DataError::Labels`] and [`DataError::LabelRange`]; `file` is the labels'.
pub(super) fn check<L: Copy + Into<i64>>(
    file: &Path,
    images: usize,
    labels: &[L],
    classes: usize,
) -> Result<(), DataError> {
    if labels.len() != images {
        return Err(DataError::Labels { file: file.to_owned(), images, labels: labels.len() });
    }
    let outside = |&label: &L| usize::try_from(label.into()).map_or(true, |label| label >= classes);
    match labels.iter().position(outside) {
        None => Ok(()),
        Some(at) => Err(DataError::LabelRange { file: file.to_owned(), at, got: labels[at].into(), classes }),
    }
}
