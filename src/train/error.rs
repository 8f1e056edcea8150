//! What can go wrong in training.

use std::path::PathBuf;

use tch::TchError;

use crate::backbone::{CheckpointError, ModelError};
use crate::data::DataError;
use crate::exit::ExitError;
use crate::extract::ExtractError;
use crate::learned::LearnedError;
use crate::output::OutputError;

/// Why a run does not start, or ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The data are refused.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The run folder cannot be read or written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The checkpoint is damaged, or of another network.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The weights just written cannot be read back.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// A setting that cannot be.
    #[error("{setting} {got}: {reason}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        got: String,
        /// Why not.
        reason: &'static str,
    },
    /// The folder has a run already.
    #[error("{}: holds a run already; --resume continues it, or choose another folder", folder.display())]
    HoldsRun {
        /// The folder.
        folder: PathBuf,
    },
    /// A run to be resumed has other settings.
    #[error("{}: {setting} is {got}, and this run has {expected}", file.display())]
    OtherSettings {
        /// Its settings.
        file: PathBuf,
        /// What differs.
        setting: String,
        /// This run's value.
        expected: String,
        /// The folder's.
        got: String,
    },
    /// A file of the run folder is not what a run writes.
    #[error("{}: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The loss left the finite numbers.
    #[error("the loss is {loss} at step {step}: training diverged; a smaller learning rate may help")]
    Diverged {
        /// The step.
        step: usize,
        /// Its loss.
        loss: f64,
    },
    /// The gradients left all that was usual.
    #[error(
        "the gradients' norm is {norm:.3e} at step {step}, where {usual:.3e} is usual: training diverged; a smaller \
         learning rate may help"
    )]
    Exploded {
        /// The step.
        step: usize,
        /// Its gradients' norm.
        norm: f64,
        /// The moving average before it.
        usual: f64,
    },
    /// The network to start from is refused.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The schedule to train for is refused.
    #[error(transparent)]
    Exit(#[from] ExitError),
    /// The exits to train, or the file of those just trained, are refused.
    #[error(transparent)]
    Learned(#[from] LearnedError),
    /// A sample sheet cannot be drawn.
    #[error("a sample sheet: {0}")]
    Sheet(String),
    /// The system gave no thread, or one of them died.
    #[error("a worker thread failed: {0}")]
    Worker(String),
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

impl TrainError {
    /// Whether the caller asked for something that cannot be.
    pub fn is_bad_input(&self) -> bool {
        match self {
            TrainError::Data(error) => error.is_bad_input(),
            TrainError::Output(OutputError::Io { source, .. }) => {
                source.kind() == std::io::ErrorKind::NotFound
            }
            TrainError::Output(OutputError::Torch(_))
            | TrainError::Checkpoint(CheckpointError::Torch(_))
            | TrainError::Extract(_)
            | TrainError::Model(ModelError::Checkpoint(CheckpointError::Torch(_)))
            | TrainError::Diverged { .. }
            | TrainError::Exploded { .. }
            | TrainError::Sheet(_)
            | TrainError::Worker(_)
            | TrainError::Torch(_) => false,
            _ => true,
        }
    }
}
