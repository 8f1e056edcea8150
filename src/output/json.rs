//! JSON files of this crate's own: written all or nothing, read only where their version is known.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{OutputError, write_atomically};

/// Writes a value as JSON for people too, all or nothing.
///
/// # Errors
/// The disk's.
pub fn write_json(file: &Path, value: &impl Serialize) -> Result<(), OutputError> {
    write_atomically(file, |out| {
        serde_json::to_writer_pretty(out, value)
            .map_err(|e| OutputError::Io { file: file.to_owned(), source: e.into() })
    })
}

/// The one field that every version has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The version that a JSON object gives itself. Another version may have other fields, so this is asked before they are
/// read.
///
/// # Errors
/// Not JSON, or without a version.
pub(crate) fn version_of(json: &[u8]) -> Result<u32, serde_json::Error> {
    serde_json::from_slice(json).map(|Version { version }| version)
}
