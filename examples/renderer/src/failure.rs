//! Why the program did not finish, and the exit code that says so.

use std::path::PathBuf;

use offramp::output::OutputError;

/// Anything that ends the program early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An argument that cannot be.
    #[error("{argument}: {reason} (--help lists the options)")]
    Argument {
        /// What was typed.
        argument: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The sampler's word.
    #[error(transparent)]
    Sampler(#[from] offramp::Error),
    /// A frame could not be written.
    #[error("{}: {reason}", file.display())]
    Frame {
        /// The frame.
        file: PathBuf,
        /// The encoder's word, or the system's.
        reason: String,
    },
}

impl Failure {
    /// 2 for what the user should change, 1 for what went wrong on the way.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Argument { .. } => 2,
            Failure::Sampler(error) if error.is_bad_input() => 2,
            Failure::Sampler(_) | Failure::Frame { .. } => 1,
        }
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        offramp::Error::from(error).into()
    }
}

impl From<tch::TchError> for Failure {
    fn from(error: tch::TchError) -> Self {
        offramp::Error::from(error).into()
    }
}
