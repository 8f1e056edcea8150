//! Why an extractor cannot be made, or fails.

use std::path::PathBuf;

use tch::TchError;

use crate::backbone::CheckpointError;

/// Why an extractor cannot be made, or fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// No such extractor.
    #[error("unknown extractor {got:?}{}; there are {known}", nearest.as_ref().map(|n| format!(", did you mean {n:?}?")).unwrap_or_default())]
    Unknown {
        /// What was typed.
        got: String,
        /// The nearest name.
        nearest: Option<&'static str>,
        /// All names.
        known: String,
    },
    /// An option that is unknown, or that this extractor does not have.
    #[error("extractor {spec}: {option:?}: {reason}")]
    Option {
        /// The whole as typed.
        spec: String,
        /// The option.
        option: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The weights are not there.
    #[error("extractor {name}: no weights at {}; {remedy}", looked_in.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" or "))]
    NoWeights {
        /// The extractor.
        name: &'static str,
        /// Where they were looked for.
        looked_in: Vec<PathBuf>,
        /// How to get them.
        remedy: &'static str,
    },
    /// The weight file is refused.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Images that it cannot take.
    #[error("extractor {extractor} takes images {expected}; these are {got}")]
    Images {
        /// The extractor.
        extractor: String,
        /// What it takes.
        expected: &'static str,
        /// What it was given.
        got: String,
    },
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

impl ExtractError {
    /// Whether the caller asked for something that cannot be, as opposed to something that went wrong on the way.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Torch(_) | Self::Checkpoint(CheckpointError::Torch(_)))
    }
}
