//! One sitting of a run: what it is told on the command line, what it tells, when it stops.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use offramp::data::TrainingSet;
use offramp::train::{Pace, Place, TrainRun, TrainStep};
use serde_json::json;

use super::progress::Progress;
use crate::cli::Failure;
use crate::cli::interrupt::Interrupt;
use crate::cli::stdout::say;

/// Options of a sitting; the result does not depend on them.
#[derive(clap::Args)]
pub struct Session {
    /// Stop behind a checkpoint after so many minutes; --resume goes on.
    #[arg(long, value_name = "M", value_parser = super::minutes)]
    max_minutes: Option<Duration>,

    /// Steps between checkpoints.
    #[arg(long, default_value_t = 100, value_name = "K")]
    checkpoint_every: usize,

    /// Steps between sample sheets; 0 is none.
    #[arg(long, default_value_t = 500, value_name = "K")]
    samples_every: usize,

    /// Steps between lines of metrics.jsonl.
    #[arg(long, default_value_t = 10, value_name = "K")]
    log_every: usize,

    /// CPU threads, as many as --workers at most; by default one a core.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Continue the run in --out.
    #[arg(long)]
    resume: bool,

    /// JSON lines on stdout: one per step, one at the end.
    #[arg(long)]
    pub json: bool,

    /// No progress and no summary.
    #[arg(long, short)]
    quiet: bool,
}

impl Session {
    /// The run in this folder, as the sitting takes it up.
    pub fn place<'a>(&self, folder: &'a Path) -> Place<'a> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Place { folder, resume: self.resume, threads: self.threads.unwrap_or_else(cores) }
    }

    /// Says which images could not be read.
    pub fn tell_skipped(&self, data: &TrainingSet) {
        const NAMED: usize = 5;
        if data.skipped.is_empty() || self.quiet {
            return;
        }
        let all = data.len() + data.skipped.len();
        eprintln!("{} of {all} images could not be read and are left out:", data.skipped.len());
        for skipped in data.skipped.iter().take(NAMED) {
            eprintln!("  {skipped}");
        }
        if data.skipped.len() > NAMED {
            eprintln!("  … and {} more", data.skipped.len() - NAMED);
        }
    }

    /// Trains until the run is done, time is up, or the user has enough; then the weights as they are go into
    /// the run's folder.
    pub fn train(&self, mut run: TrainRun, out: PathBuf) -> Result<(), Failure> {
        let interrupt = Interrupt::listen();
        let pace = Pace {
            log_every: self.log_every,
            checkpoint_every: self.checkpoint_every,
            samples_every: self.samples_every,
        };
        let mut progress = Progress::new(run.step(), run.steps(), self.quiet || self.json);
        let (start, mut told) = (Instant::now(), Ok(()));
        let complete = run.train(pace, &mut |step| {
            let now = format!("loss {:.4}, {:.0} images/s", step.loss, step.images_per_second);
            progress.step(step.step, step.steps, &now, None);
            if self.json {
                told = say!("{}", line(step));
            }
            let late = self.max_minutes.is_some_and(|most| start.elapsed() >= most);
            if told.is_err() || interrupt.requested() || late {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        progress.finish();
        let complete = complete?;
        run.write_weights()?;
        told?;
        let (step, steps) = (run.step(), run.steps());
        if !complete && interrupt.requested() {
            return Err(Failure::TrainingInterrupted { step, steps, folder: out });
        }
        let weights = run.folder().weights();
        if self.json {
            let event = if complete { "done" } else { "stopped" };
            return say!(
                "{}",
                json!({
                    "event": event, "step": step, "steps": steps, "seconds": run.seconds(),
                    "weights": weights,
                })
            );
        }
        if self.quiet {
            return Ok(());
        }
        if !complete {
            say!("time is up behind step {step} of {steps}; --resume continues")?;
        }
        say!("weights  {}", weights.display())?;
        say!("loss     {}", run.folder().loss_plot().display())?;
        say!("time     {:.1} minutes", run.seconds() / 60.0)
    }
}

fn line(step: &TrainStep) -> serde_json::Value {
    let mut line = json!({
        "event": "step", "step": step.step, "steps": step.steps, "loss": step.loss,
        "gradient_norm": step.gradient_norm, "learning_rate": step.rate,
        "images_per_second": step.images_per_second,
    });
    for (name, value) in &step.parts {
        line[format!("loss.{name}")] = json!(value);
    }
    line
}
