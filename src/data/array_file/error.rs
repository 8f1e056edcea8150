//! Why a file of arrays is refused.

use std::path::PathBuf;

/// Why a file of arrays is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayError {
    /// The system refused.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not a `.npz`, or a damaged one.
    #[error("{}: not a readable .npz file: {reason}", file.display())]
    NotNpz {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An array is not there.
    #[error("{}: no array `{key}`; it holds {}", file.display(), holds(.has))]
    Missing {
        /// The file.
        file: PathBuf,
        /// The array.
        key: String,
        /// Those that are there.
        has: Vec<String>,
    },
    /// An array is of another type, or laid out otherwise.
    #[error("{}: `{key}` is {got}; {expected} is needed", file.display())]
    Type {
        /// The file.
        file: PathBuf,
        /// The array.
        key: String,
        /// What is needed.
        expected: String,
        /// What is there.
        got: String,
    },
    /// An array is of another shape.
    #[error("{}: `{key}` has shape {got:?}; {expected} is needed", file.display())]
    Shape {
        /// The file.
        file: PathBuf,
        /// The array.
        key: String,
        /// The shape needed.
        expected: String,
        /// The shape there.
        got: Vec<u64>,
    },
    /// An array claims more than anything real holds.
    #[error("{}: `{key}` claims {claims} bytes from {stored} in the file", file.display())]
    Bomb {
        /// The file.
        file: PathBuf,
        /// The array.
        key: String,
        /// Bytes of the array, as claimed.
        claims: u64,
        /// Bytes that the entry has in the file.
        stored: u64,
    },
    /// An entry is cut short, or its checksum is wrong, or it is no array.
    #[error("{}: `{key}`: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The array.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// An array holds NaN or infinity.
    #[error("{}: `{key}`: element {at} is {value}", file.display())]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The array.
        key: String,
        /// Where, in the flattened array.
        at: usize,
        /// The value.
        value: f64,
    },
    /// A number that cannot be.
    #[error("{}: `{key}`: {reason}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The array.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

impl ArrayError {
    /// Whether the file is at fault, not the system.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, ArrayError::Io { source, .. } if source.kind() != std::io::ErrorKind::NotFound)
    }
}

fn holds(keys: &[String]) -> String {
    match keys {
        [] => "none".to_owned(),
        keys => keys.iter().take(8).map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", "),
    }
}
