//! `offramp train`: makes weights.

mod backbone;
mod exits;
mod features;
mod progress;
mod recipe;
mod session;

use std::time::Duration;

use super::Failure;

/// Makes weights.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Train a denoiser.
    Backbone(backbone::Args),
    /// Train weights to be left early.
    Exits(exits::Args),
    /// Train the classifier behind the extractor fashion-features.
    Features(features::Args),
}

impl Args {
    /// Whether a machine listens.
    pub fn json(&self) -> bool {
        match &self.what {
            What::Backbone(args) => args.session.json,
            What::Exits(args) => args.session.json,
            What::Features(args) => args.json,
        }
    }
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.what {
        What::Backbone(args) => backbone::run(args),
        What::Exits(args) => exits::run(args),
        What::Features(args) => features::run(args),
    }
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|e| format!("{e}"))?;
    Duration::try_from_secs_f64(60.0 * minutes).map_err(|e| e.to_string())
}
