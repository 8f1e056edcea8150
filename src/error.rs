//! The crate's one top-level error: one variant per concern, each with its values in fields.

use tch::TchError;

use crate::backbone::{CheckpointError, ModelError};
use crate::calibrate::CalibrateError;
#[cfg(feature = "evaluate")]
use crate::data::DataError;
#[cfg(feature = "evaluate")]
use crate::evaluate::EvaluateError;
use crate::exit::{ExitError, ExitSpecError, ScheduleError};
use crate::learned::LearnedError;
use crate::output::OutputError;
use crate::sampler::{RequestError, VerifyError};
use crate::solver::SolverError;
use crate::tail::TailSpecError;
#[cfg(feature = "train")]
use crate::train::TrainError;

/// Anything that can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The weights folder is refused.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Learned exits are refused.
    #[error(transparent)]
    Learned(#[from] LearnedError),
    /// The solver is refused, or fails.
    #[error(transparent)]
    Solver(#[from] SolverError),
    /// An exit cannot be made from what was typed.
    #[error(transparent)]
    ExitSpec(#[from] ExitSpecError),
    /// A tail cannot be made from what was typed.
    #[error(transparent)]
    TailSpec(#[from] TailSpecError),
    /// A schedule is refused.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The exit does not fit the model, or fails.
    #[error(transparent)]
    Exit(#[from] ExitError),
    /// A calibration is refused.
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
    /// The request cannot be met.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The run cannot be verified.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Files cannot be written or read.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Sets of images cannot be read or compared.
    #[cfg(feature = "evaluate")]
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// A data set is refused.
    #[cfg(feature = "evaluate")]
    #[error(transparent)]
    Data(#[from] DataError),
    /// A training run does not start, or ends early.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] TrainError),
    /// An image left the finite numbers on its way.
    #[error("image {image} is not finite: the network or the guidance scale drove it out of range")]
    NotFinite {
        /// Its index in the request.
        image: usize,
    },
    /// The system gave no thread.
    #[error("no thread could be started: {0}")]
    Thread(std::io::Error),
    /// libtorch failed: out of memory, most often.
    #[error("libtorch: {}", first_line(.0))]
    Torch(#[from] TchError),
}

impl Error {
    /// Whether the caller asked for something that cannot be, as opposed to something that went wrong on
    /// the way (out of memory, disk full).
    pub fn is_bad_input(&self) -> bool {
        match self {
            Error::Torch(_)
            | Error::NotFinite { .. }
            | Error::Thread(_)
            | Error::Model(ModelError::Checkpoint(CheckpointError::Torch(_)))
            | Error::Exit(ExitError::Torch(_) | ExitError::Verdicts { .. } | ExitError::Policy { .. })
            | Error::Output(OutputError::Torch(_)) => false,
            Error::Learned(error) | Error::Model(ModelError::Exits(error)) => error.is_bad_input(),
            Error::Solver(error) => error.is_bad_input(),
            #[cfg(feature = "evaluate")]
            Error::Evaluate(error) => error.is_bad_input(),
            #[cfg(feature = "evaluate")]
            Error::Data(error) => error.is_bad_input(),
            #[cfg(feature = "train")]
            Error::Train(error) => error.is_bad_input(),
            Error::Output(OutputError::Io { source, .. }) => source.kind() == std::io::ErrorKind::NotFound,
            _ => true,
        }
    }
}

/// libtorch's message without the C++ stack trace behind it.
fn first_line(error: &TchError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
