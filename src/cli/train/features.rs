//! `offramp train features`: a Fashion-MNIST classifier whose penultimate layer becomes an extractor.

use std::path::PathBuf;

use offramp::data::FashionMnist;
use offramp::train::{FeaturesRecipe, FeaturesRun};

use super::sitting::Sitting;
use crate::cli::Failure;
use crate::cli::interrupt::Interrupt;
use crate::cli::stdout::say;

/// Trains the classifier behind the extractor fashion-features.
///
/// The run is a folder: settings, metrics, the latest checkpoint, in the end the weights and their model
/// card. It may be killed at any time and continued with --resume; the result is the same.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  offramp train features\n  \
    offramp train features --epochs 12 --seed 1 --out runs/longer\n  offramp train features --resume")]
pub struct Args {
    /// The folder with Fashion-MNIST's four files; by default where `make data` puts them.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// The run's folder.
    #[arg(long, default_value = "runs/fashion-features", value_name = "DIR")]
    out: PathBuf,

    /// Times that every image is seen.
    #[arg(long, default_value_t = FeaturesRecipe::default().epochs, value_name = "N")]
    epochs: usize,

    /// Of the weights, the order of the images and their augmentation.
    #[arg(long, default_value_t = FeaturesRecipe::default().seed, value_name = "S")]
    seed: u64,

    /// Images per step.
    #[arg(long, default_value_t = FeaturesRecipe::default().batch, value_name = "N")]
    batch: usize,

    /// Training images, from the first.
    #[arg(long, default_value_t = FeaturesRecipe::default().images, value_name = "N")]
    images: usize,

    #[command(flatten)]
    pub sitting: Sitting,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen();
    let data = FashionMnist::find(args.data.as_deref())?;
    let recipe = FeaturesRecipe {
        seed: args.seed,
        epochs: args.epochs,
        batch: args.batch,
        images: args.images,
        ..FeaturesRecipe::default()
    };
    let sitting = &args.sitting;
    let mut run = FeaturesRun::open(recipe, &data, &args.out, sitting.resume, sitting.threads())?;
    let mut watch = sitting.begin(interrupt, run.step(), run.steps());
    let complete = run.train(sitting.checkpoint_every, &mut |report| {
        let accuracy = report.test_accuracy.map(|a| format!("test accuracy {:.2} %", 100.0 * a));
        let now = format!("loss {:.3}", report.loss);
        watch.step([report.step, report.steps], &now, accuracy.as_deref(), || {
            serde_json::json!({
                "event": "step", "step": report.step, "steps": report.steps, "loss": report.loss,
                "test_accuracy": report.test_accuracy,
            })
        })
    })?;
    watch.finish();
    let (step, steps) = (run.step(), run.steps());
    watch.end(complete, [step, steps], &args.out)?;
    if !complete {
        return match (sitting.json, sitting.quiet) {
            (true, _) => say!("{}", serde_json::json!({ "event": "stopped", "step": step, "steps": steps })),
            (_, true) => Ok(()),
            _ => say!("time is up behind step {step} of {steps}; --resume continues"),
        };
    }
    let out = args.out.clone();
    let outcome = run.finish(&command(&args))?;
    if sitting.json {
        return say!(
            "{}",
            serde_json::json!({
                "event": "done", "folder": out, "test_accuracy": outcome.test_accuracy,
                "sha256": outcome.sha256, "bytes": outcome.bytes, "seconds": outcome.seconds,
            })
        );
    }
    if sitting.quiet {
        return Ok(());
    }
    say!("test accuracy  {:.2} %", 100.0 * outcome.test_accuracy)?;
    say!(
        "weights        {} ({:.0} kB)",
        out.join("model.safetensors").display(),
        outcome.bytes as f64 / 1e3
    )?;
    say!("time           {:.1} minutes", outcome.seconds / 60.0)
}

/// The command that makes the same weights: what it does not change is left out.
fn command(args: &Args) -> String {
    let usual = FeaturesRecipe::default();
    let mut words = vec!["offramp train features".to_owned()];
    for (option, value, usual) in [
        ("--epochs", args.epochs as u64, usual.epochs as u64),
        ("--seed", args.seed, usual.seed),
        ("--batch", args.batch as u64, usual.batch as u64),
        ("--images", args.images as u64, usual.images as u64),
    ] {
        if value != usual {
            words.push(format!("{option} {value}"));
        }
    }
    words.join(" ")
}
