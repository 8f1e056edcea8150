//! `offramp train`: makes weights.

mod features;
mod progress;

use super::Failure;

/// Makes weights.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Train the classifier behind the extractor fashion-features.
    Features(features::Args),
}

impl Args {
    /// Whether a machine listens.
    pub fn json(&self) -> bool {
        match &self.what {
            What::Features(args) => args.json,
        }
    }
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.what {
        What::Features(args) => features::run(args),
    }
}
