//! What a calibration leaves on disk: JSON of one version.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::output::version_of;

/// The version of these formats that this crate reads and writes.
pub(super) const VERSION: u32 = 1;

/// Why such a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refused.
    #[error("{what} {}: {source}", file.display())]
    Read {
        /// What it was to be.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not JSON, or a field missing, unknown or of the wrong type.
    #[error("{what} {}: {source}", file.display())]
    Parse {
        /// What it was to be.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// Another version of the format.
    #[error("{what} {}: version {got}, and this program reads version {VERSION}", file.display())]
    Version {
        /// What it was to be.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Its version.
        got: u32,
    },
}

/// Reads a value, which messages call `what`.
pub(super) fn read<T: DeserializeOwned>(what: &'static str, file: &Path) -> Result<T, FileError> {
    let here = || file.to_owned();
    let text = std::fs::read(file).map_err(|source| FileError::Read { what, file: here(), source })?;
    let parse = |source| FileError::Parse { what, file: here(), source };
    match version_of(&text).map_err(parse)? {
        VERSION => serde_json::from_slice(&text).map_err(parse),
        got => Err(FileError::Version { what, file: here(), got }),
    }
}
