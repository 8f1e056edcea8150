//! What `evaluate` is given: images, or statistics of images.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{EvaluateError, ImageSet, Statistics};
use crate::data::ArrayFile;

/// Images, or all that is left of them.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there are three of them in a run")]
pub enum Source {
    /// A set of images.
    Images(ImageSet),
    /// Mean and covariance of features: `mu` and `sigma` in an `.npz`.
    Statistics(Statistics),
}

impl Source {
    /// Opens a set of images ([`ImageSet::open`]), or an `.npz` with `mu` and `sigma`.
    ///
    /// # Errors
    /// As [`ImageSet::open`] and [`Statistics::read`]; an `.npz` with neither `arr_0` nor `mu`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EvaluateError> {
        let path = path.as_ref();
        if path.is_file() && is_npz(path)? {
            let keys = ArrayFile::open(path)?.keys();
            let has = |key: &str| keys.iter().any(|k| k == key);
            if !has("arr_0") && (has("mu") || has("sigma")) {
                return Ok(Source::Statistics(Statistics::read(path)?));
            }
            if !has("arr_0") {
                let reason = format!("no arr_0 (images), and no mu and sigma (statistics); it has {keys:?}");
                return Err(EvaluateError::NotASet { path: path.to_owned(), reason });
            }
        }
        Ok(Source::Images(ImageSet::open(path)?))
    }
}

/// Whether it is an `.npz` by what it starts with or by its name: `stats --out` writes to any name.
fn is_npz(file: &Path) -> Result<bool, EvaluateError> {
    let mut start = Vec::new();
    File::open(file).and_then(|f| f.take(2).read_to_end(&mut start)).map_err(EvaluateError::io(file))?;
    Ok(start == b"PK" || file.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz")))
}
