//! `offramp calibrate`: finds exits.

mod budget;
mod schedule;
mod search;
mod setting;
mod speed;
mod template;
mod threshold;
mod validation;

use super::Failure;

/// Finds exits.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Find the depth schedule of least error for a budget, or for every budget.
    Schedule(Box<schedule::Args>),
    /// Find an exit's threshold for a mean cost, or for a promise.
    Threshold(Box<threshold::Args>),
}

impl Args {
    /// Whether a machine listens.
    pub fn json(&self) -> bool {
        match &self.what {
            What::Schedule(args) => args.setting.json,
            What::Threshold(args) => args.setting.json,
        }
    }
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.what {
        What::Schedule(args) => schedule::run(*args),
        What::Threshold(args) => threshold::run(*args),
    }
}
