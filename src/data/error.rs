//! What can be wrong with a data set.

use std::path::PathBuf;

use tch::TchError;

/// Why a data set is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The system refused, or the compressed stream is damaged.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The data set is nowhere.
    #[error(
        "{name} is not there: looked in {}; `make data` fetches it",
        looked_in.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    Absent {
        /// The data set.
        name: &'static str,
        /// Where it could have been.
        looked_in: Vec<PathBuf>,
    },
    /// No data set has this name.
    #[error("data:{name}: no such data set; there are {}", known.iter().map(|k| format!("data:{k}")).collect::<Vec<_>>().join(" and "))]
    Unknown {
        /// The name, behind `data:`.
        name: String,
        /// All names.
        known: &'static [&'static str],
    },
    /// The first four bytes are not an IDX file's.
    #[error("{}: not an IDX file: it starts with {got:02x?}, and not with 00 00, a type and a rank", file.display())]
    NotIdx {
        /// The file.
        file: PathBuf,
        /// Its first bytes.
        got: Vec<u8>,
    },
    /// IDX, but not of bytes.
    #[error("{}: IDX of type 0x{got:02x}; unsigned bytes (0x08) are needed", file.display())]
    ElementType {
        /// The file.
        file: PathBuf,
        /// The type byte.
        got: u8,
    },
    /// IDX with another number of dimensions.
    #[error("{}: {got} dimensions; {expected} are needed", file.display())]
    Rank {
        /// The file.
        file: PathBuf,
        /// Needed.
        expected: usize,
        /// Its own.
        got: usize,
    },
    /// A dimension is zero, or they multiply to more than can be addressed.
    #[error("{}: the dimensions {shape:?} cannot be", file.display())]
    Dimensions {
        /// The file.
        file: PathBuf,
        /// As claimed.
        shape: Vec<usize>,
    },
    /// The header claims more than there is.
    #[error("{}: the header claims {shape:?}, {expected} bytes, and the file holds {got}", file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// As claimed.
        shape: Vec<usize>,
        /// Bytes claimed.
        expected: u64,
        /// Bytes there.
        got: u64,
    },
    /// There is more than the header claims.
    #[error("{}: the header claims {shape:?}, {expected} bytes, and the file goes on behind them", file.display())]
    Trailing {
        /// The file.
        file: PathBuf,
        /// As claimed.
        shape: Vec<usize>,
        /// Bytes claimed.
        expected: u64,
    },
    /// Images and labels that do not belong together.
    #[error("{}: {labels} labels for {images} images", file.display())]
    Labels {
        /// The file of the labels.
        file: PathBuf,
        /// How many images.
        images: usize,
        /// How many labels.
        labels: usize,
    },
    /// A label that is no class.
    #[error("{}: label {got} at {at}; there are {classes} classes", file.display())]
    LabelRange {
        /// The file of the labels.
        file: PathBuf,
        /// Its position.
        at: usize,
        /// The label.
        got: u8,
        /// Classes are 0 … this − 1.
        classes: usize,
    },
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

impl DataError {
    /// Whether the data are at fault, as opposed to the machine.
    pub fn is_bad_input(&self) -> bool {
        match self {
            DataError::Torch(_) => false,
            // A missing, cut or damaged file; a failing disk is not the user's doing.
            DataError::Io { source, .. } => matches!(
                source.kind(),
                std::io::ErrorKind::NotFound
                    | std::io::ErrorKind::PermissionDenied
                    | std::io::ErrorKind::IsADirectory
                    | std::io::ErrorKind::InvalidData
                    | std::io::ErrorKind::InvalidInput
                    | std::io::ErrorKind::UnexpectedEof
            ),
            _ => true,
        }
    }
}
