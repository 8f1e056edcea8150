//! What a subcommand can fail with, and the exit code that says so.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use offramp::backbone::ModelError;
use offramp::bench::{BenchError, PlanError};
use offramp::calibrate::CalibrateError;
use offramp::data::DataError;
use offramp::evaluate::EvaluateError;
use offramp::exit::{ExitSpecError, ScheduleError};
use offramp::output::OutputError;
use offramp::solver::SolverError;
use offramp::tail::TailSpecError;
use offramp::train::TrainError;
use offramp::{Error, RequestError};

/// Why a subcommand did not finish.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The library's word.
    #[error(transparent)]
    Library(#[from] Error),
    /// No class of this name.
    #[error("unknown class {got:?}{}; {known}", nearest.as_ref().map(|n| format!(", did you mean {n:?}?")).unwrap_or_default())]
    Class { got: String, nearest: Option<String>, known: String },
    /// No weights of this name.
    #[error("no weights {name:?}: not a folder, and not in {}", looked_in.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" or "))]
    Weights { name: String, looked_in: Vec<PathBuf> },
    /// Weights without trained exits.
    #[error("{}: its exits are not trained: there is no {}; `offramp train exits` makes it", folder.display(), offramp::learned::FILE)]
    NotTrained { folder: PathBuf },
    /// Options that do not go together, or a value that cannot be.
    #[error("{option} {value}: {reason}")]
    Option { option: &'static str, value: String, reason: String },
    /// A file or folder that `inspect` does not know.
    #[error("{}: not a weights folder, a schedule or a PNG ({reason})", file.display())]
    Unknown { file: PathBuf, reason: String },
    /// Standard output is gone.
    #[error("standard output: {0}")]
    Stdout(std::io::Error),
    /// The benchmark's word.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// Ctrl-C in a bench.
    #[error("interrupted: {done} of {of} rounds of points are in {}, and the same command goes on from there", out.display())]
    BenchInterrupted { done: usize, of: usize, out: PathBuf },
    /// Ctrl-C.
    #[error("interrupted: {finished} of {count} images are finished")]
    Interrupted { finished: usize, count: usize },
    /// Ctrl-C in training.
    #[error("interrupted behind step {step} of {steps}; --resume --out {} continues", folder.display())]
    TrainingInterrupted { step: usize, steps: usize, folder: PathBuf },
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Failure::Interrupted { .. }
            | Failure::BenchInterrupted { .. }
            | Failure::TrainingInterrupted { .. } => 130,
            Failure::Stdout(_) => 1,
            Failure::Bench(error) if !error.is_bad_input() => 1,
            Failure::Library(error) if !error.is_bad_input() => 1,
            _ => 2,
        }
    }

    /// Prints the failure on stderr; with `--json` as one JSON object.
    pub fn report(&self, json: bool) -> ExitCode {
        let code = self.exit_code();
        let text = if json {
            let kind = match code {
                130 => "interrupted",
                2 => "bad_input",
                _ => "failed",
            };
            serde_json::json!({ "event": "error", "kind": kind, "message": self.to_string() }).to_string()
        } else {
            format!("error: {self:#}")
        };
        // Where stderr is gone too, the exit code must do.
        let _ = writeln!(std::io::stderr(), "{text}");
        ExitCode::from(code)
    }

    /// An option's value and why it cannot be.
    pub fn option(option: &'static str, value: impl ToString, reason: impl ToString) -> Self {
        Failure::Option { option, value: value.to_string(), reason: reason.to_string() }
    }

    /// A path that is none of the things that can be inspected.
    pub fn unknown(file: &Path, reason: impl ToString) -> Self {
        Failure::Unknown { file: file.to_owned(), reason: reason.to_string() }
    }
}

// The library's errors arrive by kind; each is wrapped on the way.
macro_rules! through_library {
    ($($kind:ty),*) => {
        $(impl From<$kind> for Failure {
            fn from(error: $kind) -> Self {
                Failure::Library(error.into())
            }
        })*
    };
}

through_library!(
    CalibrateError,
    ModelError,
    SolverError,
    ExitSpecError,
    TailSpecError,
    ScheduleError,
    RequestError,
    OutputError,
    DataError,
    TrainError,
    EvaluateError,
    tch::TchError
);

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Failure::Bench(error.into())
    }
}
