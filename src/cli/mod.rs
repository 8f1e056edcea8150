//! The command line: one file per subcommand. The library knows nothing of terminals; this does.
//!
//! Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.

mod bench;
mod calibrate;
mod classes;
mod completions;
mod doctor;
mod evaluate;
mod exits;
mod failure;
mod features;
mod generate;
mod guidance;
mod inspect;
mod interrupt;
mod places;
mod preview;
mod progress;
mod stats;
mod stdout;
mod target;
mod threads;
mod trace;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::failure::Failure;

/// The weights that are taken unless others are named.
const DEFAULT_WEIGHTS: &str = "fashion-dit";

/// A diffusion sampler that takes the early exit.
///
/// For each image and each network evaluation it decides how deep the denoiser must run, and skips the rest.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, propagate_version = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.\n\n\
    Example:\n  offramp generate --class all --schedule ase-demo --grid clothes.png")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Draw images.
    Generate(Box<generate::Args>),
    /// Find exits for a budget.
    Calibrate(Box<calibrate::Args>),
    /// Measure a plan's points: speed, depth, quality.
    Bench(Box<bench::Args>),
    /// Make weights.
    Train(Box<train::Args>),
    /// Say how far a set of images is from another.
    Evaluate(Box<evaluate::Args>),
    /// Say how good the trained exits of a weights folder are, and whether they know more than the time.
    Exits(exits::Args),
    /// Write the mean and covariance of a set's features, or add up those of its shards.
    Stats(stats::Args),
    /// Say what a weights folder, an exit schedule or a PNG is.
    Inspect(inspect::Args),
    /// Say which libtorch is linked and what it can do here.
    Doctor(doctor::Args),
    /// Print a shell's completion script.
    Completions(completions::Args),
}

/// Parses the arguments, runs the subcommand, says what went wrong.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let (json, result) = match cli.command {
        Command::Generate(args) => (args.json, generate::run(*args)),
        Command::Calibrate(args) => (args.json(), calibrate::run(*args)),
        Command::Bench(args) => (args.json, bench::run(*args)),
        Command::Train(args) => (args.json(), train::run(*args)),
        Command::Evaluate(args) => (args.json, evaluate::run(*args)),
        Command::Exits(args) => (args.json, exits::run(args)),
        Command::Stats(args) => (args.json, stats::run(args)),
        Command::Inspect(args) => (args.json, inspect::run(args)),
        Command::Doctor(args) => (args.json, doctor::run(args)),
        Command::Completions(args) => (false, completions::run(args)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}
