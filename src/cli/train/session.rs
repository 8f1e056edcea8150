//! A sitting of a backbone's or its exits' run.

use std::path::{Path, PathBuf};

use offramp::data::TrainingSet;
use offramp::train::{Pace, Place, TrainRun, TrainStep};
use serde_json::json;

use super::sitting::Sitting;
use crate::cli::Failure;
use crate::cli::interrupt::Interrupt;
use crate::cli::stdout::say;

/// Options of a sitting of a backbone's or its exits' run; the result does not depend on them.
#[derive(clap::Args)]
pub struct Session {
    #[command(flatten)]
    pub sitting: Sitting,

    /// Steps between sample sheets; 0 is none.
    #[arg(long, default_value_t = 500, value_name = "K")]
    samples_every: usize,

    /// Steps between lines of metrics.jsonl.
    #[arg(long, default_value_t = 10, value_name = "K")]
    log_every: usize,
}

impl Session {
    /// The run in this folder, as the sitting takes it up.
    pub fn place<'a>(&self, folder: &'a Path) -> Place<'a> {
        Place { folder, resume: self.sitting.resume, threads: self.sitting.threads() }
    }

    /// Says which images could not be read.
    pub fn tell_skipped(&self, data: &TrainingSet) {
        const NAMED: usize = 5;
        if data.skipped.is_empty() || self.sitting.quiet {
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
        let mut watch = self.sitting.begin(Interrupt::listen(), run.step(), run.steps());
        let pace = Pace {
            log_every: self.log_every,
            checkpoint_every: self.sitting.checkpoint_every,
            samples_every: self.samples_every,
        };
        let complete = run.train(pace, &mut |step| {
            let now = format!("loss {:.4}, {:.0} images/s", step.loss, step.images_per_second);
            watch.step([step.step, step.steps], &now, None, || line(step))
        });
        watch.finish();
        let complete = complete?;
        run.write_weights()?;
        let (step, steps) = (run.step(), run.steps());
        watch.end(complete, [step, steps], &out)?;
        let weights = run.folder().weights();
        if self.sitting.json {
            let event = if complete { "done" } else { "stopped" };
            return say!(
                "{}",
                json!({
                    "event": event, "step": step, "steps": steps, "seconds": run.seconds(),
                    "weights": weights,
                })
            );
        }
        if self.sitting.quiet {
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
