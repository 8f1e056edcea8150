//! One sitting of a run: what it is told on the command line, whom it tells, when it stops.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::progress::Progress;
use crate::cli::Failure;
use crate::cli::interrupt::Interrupt;
use crate::cli::stdout::say;

/// Options of a sitting; the result does not depend on them.
#[derive(clap::Args)]
pub struct Sitting {
    /// Stop behind a checkpoint after so many minutes; --resume goes on.
    #[arg(long, value_name = "M", value_parser = minutes)]
    max_minutes: Option<Duration>,

    /// Steps between checkpoints.
    #[arg(long, default_value_t = 100, value_name = "K")]
    pub checkpoint_every: usize,

    /// CPU threads, as many as there are workers at most; by default one a core.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Continue the run in --out.
    #[arg(long)]
    pub resume: bool,

    /// JSON lines on stdout: one per step, one at the end.
    #[arg(long)]
    pub json: bool,

    /// No progress and no summary.
    #[arg(long, short)]
    pub quiet: bool,
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|e| format!("{e}"))?;
    Duration::try_from_secs_f64(60.0 * minutes).map_err(|e| e.to_string())
}

impl Sitting {
    /// CPU threads.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// Begins, in a run that has made `step` of `steps`.
    pub fn begin(&self, interrupt: Interrupt, step: usize, steps: usize) -> Watch<'_> {
        let progress = Progress::new(step, steps, self.quiet || self.json);
        Watch { sitting: self, interrupt, progress, start: Instant::now(), told: Ok(()) }
    }
}

/// Sees the steps of a sitting.
pub struct Watch<'a> {
    sitting: &'a Sitting,
    interrupt: Interrupt,
    progress: Progress,
    start: Instant,
    told: Result<(), Failure>,
}

impl Watch<'_> {
    /// A step is made: `now` says what it was like, `milestone` what is worth a line of its own, `line` all of it for
    /// a machine. Says whether to go on: until time is up, or the user has enough.
    pub fn step(
        &mut self,
        [step, steps]: [usize; 2],
        now: &str,
        milestone: Option<&str>,
        line: impl FnOnce() -> Value,
    ) -> ControlFlow<()> {
        self.progress.step(step, steps, now, milestone);
        if self.sitting.json {
            self.told = say!("{}", line());
        }
        let late = self.sitting.max_minutes.is_some_and(|most| self.start.elapsed() >= most);
        match self.told.is_err() || self.interrupt.requested() || late {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// The bar goes.
    pub fn finish(&self) {
        self.progress.finish();
    }

    /// Whether all steps could be told; then whether the run, which is left at `step`, was interrupted.
    ///
    /// # Errors
    /// Nobody listens any more; or Ctrl-C.
    pub fn end(self, complete: bool, [step, steps]: [usize; 2], out: &Path) -> Result<(), Failure> {
        self.told?;
        match !complete && self.interrupt.requested() {
            true => Err(Failure::TrainingInterrupted { step, steps, folder: out.to_owned() }),
            false => Ok(()),
        }
    }
}
