//! Why an exit cannot be made from what was typed.

use std::path::PathBuf;

use crate::calibrate::{FileError, FrontError};

use super::{ChangeError, LimitError, PatienceError, ScheduleError, ThresholdError};

/// Why an exit cannot be made from what was typed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExitSpecError {
    /// No such policy.
    #[error(
        "unknown exit {got:?}: there are full, fixed:DEPTH, schedule:NAME (or a schedule's file), \
         uncertainty:THRESHOLD, gate:THRESHOLD, gate:q=QUANTILE, similarity:THRESHOLD, change:THRESHOLD, \
         patience:COUNT, best:BUDGET and threshold:NAME"
    )]
    Unknown {
        /// What was typed.
        got: String,
    },
    /// `fixed:` without a depth.
    #[error("exit fixed:{got}: the depth must be a whole number of blocks, from 1")]
    Depth {
        /// What stood behind the colon.
        got: String,
    },
    /// `best:` without a budget.
    #[error("exit best{}{got}: a budget is needed, a share of block cost above 0 and up to 1", if got.is_empty() { "" } else { ":" })]
    Budget {
        /// What stood behind the colon.
        got: String,
    },
    /// The front that `best:` picks from is refused.
    #[error(transparent)]
    Front(#[from] FrontError),
    /// A calibrated exit is refused.
    #[error(transparent)]
    Calibrated(#[from] FileError),
    /// Limits that were not there when the exit was calibrated.
    #[error(
        "exit {exit}: it was calibrated without these limits, and what it promises does not hold with them (behind a \
         comma before them, `force` uses it all the same)"
    )]
    CalibratedLimits {
        /// What was typed.
        exit: String,
    },
    /// `change:` with something that it cannot take.
    #[error("exit change:{got}: {source}")]
    Change {
        /// What stood behind the colon.
        got: String,
        /// What is wrong with it.
        source: ChangeError,
    },
    /// `patience:` with something that it cannot take.
    #[error("exit patience:{got}: {source}")]
    Patience {
        /// What stood behind the colon.
        got: String,
        /// What is wrong with it.
        source: PatienceError,
    },
    /// An option that the exit cannot take.
    #[error("exit {got}: {source}")]
    Limit {
        /// What was typed.
        got: String,
        /// What is wrong with it.
        source: LimitError,
    },
    /// `uncertainty:`, `gate:` or `similarity:` with something that it cannot take.
    #[error("exit {exit}:{got}: {source}")]
    Threshold {
        /// What stood before the colon.
        exit: &'static str,
        /// What stood behind it.
        got: String,
        /// What is wrong with it.
        source: ThresholdError,
    },
    /// The policy is learned, and the weights have no learned exits.
    #[error("exit {exit} is a trained one, and there is no exits.safetensors beside these weights")]
    NoLearnedExits {
        /// The policy.
        exit: String,
    },
    /// The weights' learned exits lack the part that decides.
    #[error("exit {exit} asks the exits' {part}, and these weights' exits.safetensors has none")]
    NotLearned {
        /// The policy.
        exit: String,
        /// `estimator` or `gate`.
        part: &'static str,
    },
    /// No schedule of that name for these weights.
    #[error("no schedule {name:?} in {}{}", folder.display(), offer(known))]
    NoSchedule {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// The names that are there.
        known: Vec<String>,
    },
    /// The schedule is refused.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

fn offer(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!(": there are {}", known.join(", ")) }
}
