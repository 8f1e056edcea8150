//! `offramp stats`: mean and covariance of a set's features, whole or in shards that are added up later.

use std::path::PathBuf;

use offramp::evaluate::{EvaluateError, Extraction, ImageSet, Shard, Statistics};

use super::interrupt::Interrupt;
use super::stdout::say;
use super::{Failure, features, target};

/// Writes the mean and covariance of a set's features as mu and sigma, which pytorch-fid and clean-fid read.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    offramp stats real --out real-stats.npz\n  \
    offramp stats real --shard 1/4 --out part-1.npz\n  \
    offramp stats --merge part-1.npz part-2.npz part-3.npz part-4.npz --out real-stats.npz")]
pub struct Args {
    /// A folder of images, an .npz with arr_0, an IDX file or data:fashion-mnist/test; PATH#FROM..TO takes a part.
    #[arg(required_unless_present = "merge", conflicts_with = "merge")]
    pub set: Option<PathBuf>,

    /// Add up the statistics of shards.
    #[arg(long, num_args = 1.., value_name = "FILE.npz", conflicts_with_all = ["extractor", "shard", "batch", "threads"])]
    pub merge: Vec<PathBuf>,

    /// The file to write.
    #[arg(long, value_name = "FILE.npz")]
    pub out: PathBuf,

    /// The extractor, as for `evaluate`.
    #[arg(long, value_name = "SPEC")]
    pub extractor: Option<String>,

    /// Do part I of N, counted from 1; parts are cut between micro-batches.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,

    /// Images per micro-batch.
    #[arg(long, default_value_t = Extraction::DEFAULT_BATCH, value_name = "N")]
    pub batch: usize,

    /// CPU threads; by default one a core.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    /// One JSON line on stdout.
    #[arg(long)]
    pub json: bool,

    /// No progress and no summary.
    #[arg(long, short)]
    pub quiet: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    target::check(&args.out, None)?;
    let statistics = match &args.set {
        Some(set) => of_set(&args, &ImageSet::open(set)?)?,
        None => merged(&args.merge)?,
    };
    statistics.write(&args.out).map_err(EvaluateError::from)?;
    let n = statistics.count();
    if args.json {
        let line = serde_json::json!({
            "event": "statistics", "n": n, "width": statistics.width(),
            "extractor": statistics.identity(), "out": args.out,
        });
        say!("{line}")?;
    } else if !args.quiet {
        let n = n.map_or("an unknown number of".to_owned(), |n| n.to_string());
        let of =
            statistics.identity().map_or(String::new(), |i| format!(" of {} (resize {})", i.name, i.resize));
        say!("{} features{of} of {n} images in {}", statistics.width(), args.out.display())?;
    }
    Ok(())
}

fn of_set(args: &Args, images: &ImageSet) -> Result<Statistics, Failure> {
    let extraction = features::extraction(args.batch, args.threads, args.shard.unwrap_or(Shard::WHOLE))?;
    if images.len() < 2 {
        return Err(
            EvaluateError::TooFew { set: images.name().into(), n: images.len() as u64, least: 2 }.into()
        );
    }
    // A covariance of one image is none; better said now than when all is worked out.
    if extraction.images(images.len()).len() == 1 {
        let set = format!("shard {} of {}", extraction.shard, images.name());
        return Err(EvaluateError::TooFew { set, n: 1, least: 2 }.into());
    }
    let typed: Vec<String> = args.extractor.iter().cloned().collect();
    let chosen = features::choose(&typed, images.shape())?.swap_remove(0);
    let interrupt = Interrupt::listen();
    features::watched(args.quiet || args.json, &interrupt, |progress| {
        extraction.statistics(images, &*chosen.extractor, progress)
    })
}

/// The sum of statistics. They are added in the order typed.
fn merged(files: &[PathBuf]) -> Result<Statistics, Failure> {
    let read = |file: &PathBuf| Statistics::read(file).map_err(EvaluateError::from);
    let mut sum = read(&files[0])?;
    for file in &files[1..] {
        sum.merge(&read(file)?).map_err(|source| EvaluateError::Compared {
            a: files[0].display().to_string(),
            b: file.display().to_string(),
            source: source.into(),
        })?;
    }
    Ok(sum)
}
