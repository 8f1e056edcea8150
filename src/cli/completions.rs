//! `offramp completions SHELL`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Failure, stdout};

/// Prints a shell's completion script on stdout.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  offramp completions bash > ~/.local/share/bash-completion/completions/offramp"
)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut Cli::command(), "offramp", &mut script);
    stdout::bytes(&script)
}
