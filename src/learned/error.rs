//! Why learned exits cannot be made, read or written.

use std::path::PathBuf;

use tch::TchError;

use super::ConfigFault;
use crate::backbone::CheckpointError;
use crate::output::OutputError;

/// Why learned exits are refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnedError {
    /// The file cannot be read, is damaged, or holds other tensors than it says.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The file says nothing of its exits.
    #[error("{}: no learned exits: its metadata has no \"exits\"", file.display())]
    NoDescription {
        /// The file.
        file: PathBuf,
    },
    /// What the file says of its exits is not understood.
    #[error("{}: exits: {source}", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// What the file says of its exits cannot be, or does not fit the model.
    #[error("{}: {fault}", file.display())]
    Description {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        fault: ConfigFault,
    },
    /// A description that cannot be.
    #[error(transparent)]
    Config(#[from] ConfigFault),
    /// They were trained on other weights.
    #[error("{}: trained on weights {got}, and these are {expected}", file.display())]
    OtherWeights {
        /// The file.
        file: PathBuf,
        /// SHA-256 of the weights in use, hex.
        expected: String,
        /// SHA-256 of the weights that they were trained on, hex.
        got: String,
    },
    /// A tensor is missing or of another shape.
    #[error("exits: tensor {tensor}: expected {expected:?}, got {}", got.as_ref().map_or("none".into(), |s| format!("{s:?}")))]
    Tensor {
        /// Its name.
        tensor: String,
        /// The shape that the description calls for.
        expected: Vec<usize>,
        /// Its shape, if it is there.
        got: Option<Vec<usize>>,
    },
    /// A checkpoint of AdaDiff's without usable estimators.
    #[error("{}: not AdaDiff's estimators: {reason}", file.display())]
    AdaDiff {
        /// The file.
        file: PathBuf,
        /// What is missing or odd.
        reason: String,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

impl LearnedError {
    /// Whether the caller asked for something that cannot be, as opposed to something that went wrong.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Torch(_) | Self::Checkpoint(CheckpointError::Torch(_)) => false,
            Self::Output(error) => {
                matches!(error, OutputError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
            }
            _ => true,
        }
    }
}
