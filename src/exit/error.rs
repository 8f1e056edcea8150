//! Why a policy cannot go on.

use tch::TchError;

use super::ScheduleError;

/// Why a policy cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExitError {
    /// The policy was made for another depth.
    #[error("exit {exit} asks for depth {asked}, and the backbone has {depth} blocks")]
    Depth {
        /// The policy, as on the command line.
        exit: String,
        /// The depth that it asks for.
        asked: usize,
        /// Blocks of the backbone.
        depth: usize,
    },
    /// The policy leaves where the backbone cannot be left.
    #[error("exit {exit} leaves after block {asked}, and this backbone can be left early after {points:?}")]
    NoExitPoint {
        /// The policy.
        exit: String,
        /// The depth that it leaves at.
        asked: usize,
        /// The depths at which the backbone can be left before its end.
        points: Vec<usize>,
    },
    /// The schedule does not fit the model.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Its learned exits were trained on other weights.
    #[error("exit {exit} was trained on weights with sha256 {expected}, and these have {got}")]
    OtherWeights {
        /// The policy.
        exit: String,
        /// SHA-256 of the weights that it was trained on.
        expected: String,
        /// SHA-256 of the weights in use.
        got: String,
    },
    /// It was found with other learned exits.
    #[error("exit {exit} was found with exits.safetensors of sha256 {expected}, and this one has {got}")]
    OtherExits {
        /// The policy.
        exit: String,
        /// SHA-256 of the exits that it was found with.
        expected: String,
        /// SHA-256 of those in use.
        got: String,
    },
    /// It was calibrated for other runs.
    #[error(
        "exit {exit} was calibrated for {what} {expected}, and here it is {got}: what it promises does not hold then (behind a \
         comma, `force` uses it all the same)"
    )]
    NotCalibratedFor {
        /// The policy.
        exit: String,
        /// What differs.
        what: &'static str,
        /// What it was calibrated for.
        expected: String,
        /// What the run has.
        got: String,
    },
    /// It gave another number of verdicts than there are rows.
    #[error("exit {exit} gave {got} verdicts for {expected} rows")]
    Verdicts {
        /// The policy.
        exit: String,
        /// Rows in the batch.
        expected: usize,
        /// Verdicts given.
        got: usize,
    },
    /// A policy's own failure.
    #[error("exit {exit}: {source}")]
    Policy {
        /// The policy.
        exit: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] TchError),
}
