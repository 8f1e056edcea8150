//! Why a peer has no figures.

use std::path::PathBuf;
use std::time::Duration;

use tch::TchError;

use crate::error::Error;
use crate::solver::SolverError;

/// Why a peer could not be started, or did not draw. Its text is the `error` of the peer's row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The peers' script is not there.
    #[error("no {script} in {}: peers run from a checkout", looked_in.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" or "))]
    NoScript {
        /// The file, from a checkout's root.
        script: &'static str,
        /// Where it was looked for.
        looked_in: Vec<PathBuf>,
    },
    /// The process could not be started.
    #[error("{}: {source}; `make peers` sets up .venv, or name another Python in OFFRAMP_PYTHON", python.display())]
    Spawn {
        /// The Python that was to run it.
        python: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// It ended before it was told to.
    #[error("{peer} ended early ({status}): {}", if last_words.is_empty() { "it said nothing" } else { last_words })]
    Ended {
        /// Its name.
        peer: String,
        /// Its exit status.
        status: String,
        /// The last line that it wrote to stderr.
        last_words: String,
    },
    /// It gave no answer in time.
    #[error("{peer} did not answer {order:?} in {} s", after.as_secs())]
    Timeout {
        /// Its name.
        peer: String,
        /// What it was asked to do.
        order: String,
        /// How long it was given.
        after: Duration,
    },
    /// It answered that it failed.
    #[error("{peer}, {order}: {message}")]
    Refused {
        /// Its name.
        peer: String,
        /// What it was asked to do.
        order: String,
        /// Its reason.
        message: String,
    },
    /// Its answer makes no sense.
    #[error("{peer}, {order}: unexpected answer {answer:?}")]
    Answer {
        /// Its name.
        peer: String,
        /// What it was asked to do.
        order: String,
        /// The line that it wrote.
        answer: String,
    },
    /// It computes another function.
    #[error(
        "{peer}: its forward differs from ours by {difference:.1e} of the largest output; {bound:.0e} is allowed"
    )]
    Forward {
        /// Its name.
        peer: String,
        /// Largest difference of outputs as a share of the largest output.
        difference: f64,
        /// What is allowed.
        bound: f64,
    },
    /// It samples another way.
    #[error("{peer}: its images differ from ours by up to {difference:.1e}; {bound:.0e} is allowed")]
    Images {
        /// Its name.
        peer: String,
        /// Largest difference of pixels, x in the model's value range.
        difference: f64,
        /// What is allowed.
        bound: f64,
    },
    /// Settings that peers are not run with.
    #[error("peers run {known} only, not {got}")]
    Unsupported {
        /// What was asked for.
        got: String,
        /// What there is.
        known: &'static str,
    },
    /// The solver cannot be read.
    #[error(transparent)]
    Solver(#[from] SolverError),
    /// Our own side failed.
    #[error(transparent)]
    Ours(#[from] Error),
    /// A file between the two could not be written or read.
    #[error("files for a peer: {0}")]
    Io(#[from] std::io::Error),
    /// libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}
