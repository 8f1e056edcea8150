//! `offramp train`: makes weights.

mod backbone;
mod exits;
mod features;
mod progress;
mod recipe;
mod session;
mod sitting;

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
            What::Backbone(args) => args.session.sitting.json,
            What::Exits(args) => args.session.sitting.json,
            What::Features(args) => args.sitting.json,
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
