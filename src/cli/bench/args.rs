//! The arguments of `offramp bench`.

use std::path::PathBuf;

use offramp::bench::Shard;

/// Measures a plan's points: speed, depth, quality, with their honest baselines.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    offramp bench plans/fashion-dit.toml\n  \
    offramp bench plans/fashion-dit.toml --shard 3/8 --out shards/3\n  \
    offramp bench --merge shards/* --out merged\n\n\
    A bench that was stopped goes on where it was when it is started again.")]
pub struct Args {
    /// The plan (.toml).
    #[arg(required_unless_present = "merge")]
    pub plan: Option<PathBuf>,

    /// The folder that results go into; by default out/bench/NAME, by the plan's name.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Draw only part i of n of the rounds, to be merged later.
    #[arg(long, value_name = "i/n")]
    pub shard: Option<Shard>,

    /// Merge the folders of all shards into --out, and finish the rows.
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with_all = ["plan", "shard"], requires = "out")]
    pub merge: Option<Vec<PathBuf>>,

    /// JSON lines on stdout: one per row, one at the end.
    #[arg(long)]
    pub json: bool,

    /// No progress and no table.
    #[arg(long, short)]
    pub quiet: bool,
}
