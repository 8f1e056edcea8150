//! Why a bench cannot be run, continued or merged.

use std::path::PathBuf;

use super::ReportError;
use super::plan_error::PlanError;
use crate::evaluate::{EvaluateError, MetricError};
use crate::output::OutputError;

/// Why a bench cannot be run, continued or merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The plan is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The sampler's word.
    #[error(transparent)]
    Sampler(#[from] crate::Error),
    /// A file of the results cannot be written or read.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Images cannot be read or their features worked out.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The report cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Features cannot be compared.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A file of the results is damaged, or of another version.
    #[error("{}: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Two benches in one folder would write over each other.
    #[error("{}: another bench is at work in it", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds the results of something else.
    #[error("{}: holds results of {field} = {theirs}, and this run has {ours}; choose another --out", folder.display())]
    OtherRun {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        field: String,
        /// This run's value.
        ours: String,
        /// The folder's.
        theirs: String,
    },
    /// A shard that cannot be.
    #[error("shard {shard}: {reason}")]
    Shard {
        /// The shard as typed.
        shard: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Folders that cannot be merged.
    #[error("{}: {reason}", folder.display())]
    Merge {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl BenchError {
    /// Whether the caller asked for something that cannot be.
    pub fn is_bad_input(&self) -> bool {
        match self {
            BenchError::Plan(PlanError::Point { source, .. }) => source.is_bad_input(),
            BenchError::Sampler(error) => error.is_bad_input(),
            BenchError::Evaluate(error) => error.is_bad_input(),
            BenchError::Report(error) => error.is_bad_input(),
            BenchError::Metric(error) => error.is_bad_input(),
            BenchError::Output(OutputError::Io { source, .. }) => {
                source.kind() == std::io::ErrorKind::NotFound
            }
            BenchError::Output(OutputError::Torch(_)) => false,
            _ => true,
        }
    }
}

impl From<tch::TchError> for BenchError {
    fn from(error: tch::TchError) -> Self {
        BenchError::Sampler(error.into())
    }
}
