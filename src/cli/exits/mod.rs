//! `offramp exits`: how good the trained exits of a weights folder are on held-out images.

mod card;

use offramp::backbone::Model;
use offramp::data::{TrainingSet, Wanted};
use offramp::evaluate::Bootstrap;
use offramp::evaluate::exits::{ExitQuality, HeldOut, Subject};
use offramp::solver::PredictionType;

use super::interrupt::Interrupt;
use super::stdout::say;
use super::{Failure, features, inspect, places, stdout};

/// Says how good trained exits are, and whether they know more than the time.
///
/// Held-out images are noised at evenly spaced times and go through the network to its end. Printed as Markdown, for
/// a model card: the errors of each exit, how well the estimator's or the gate's number tells them, and the depths
/// that thresholds would give on these images.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  offramp exits runs/exits/weights\n  \
    offramp exits fashion-dit-exits --count 500 --times 50 --threshold 0.05,0.1,0.2\n  \
    offramp exits fashion-dit-exits --json")]
pub struct Args {
    /// A weights folder with exits.safetensors, or its name under weights/.
    #[arg(value_name = "WEIGHTS")]
    weights: String,

    /// The images, which must not be those of training: as for train, with classes.
    #[arg(long, default_value = "data:fashion-mnist/test", value_name = "DATA")]
    data: String,

    /// How many of them, from the first on.
    #[arg(long, default_value_t = HeldOut::default().count, value_name = "M")]
    count: usize,

    /// At how many times, evenly spaced.
    #[arg(long, default_value_t = HeldOut::default().times, value_name = "K")]
    times: usize,

    /// Thresholds whose depths are given, beside those of some costs.
    #[arg(long, value_delimiter = ',', value_parser = threshold, value_name = "THRESHOLD,…")]
    threshold: Vec<f64>,

    /// Of the noise, and of the resamples behind intervals.
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,

    /// Images per forward pass; numbers are equal to the last bit only where this is.
    #[arg(long, default_value_t = HeldOut::default().batch, value_name = "N")]
    batch: usize,

    /// CPU threads; by default one a core.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// One JSON object instead of Markdown.
    #[arg(long)]
    pub json: bool,

    /// No progress.
    #[arg(long, short)]
    quiet: bool,
}

fn threshold(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("it must be a number from 0 to 1".into()),
    }
}

pub fn run(args: Args) -> Result<(), Failure> {
    let folder = places::weights(&args.weights)?;
    let layout = features::extraction(args.batch, args.threads, offramp::evaluate::Shard::WHOLE)?;
    let model = Model::open(&folder)?;
    let Some(exits) = &model.exits else { return Err(Failure::NotTrained { folder }) };
    let config = &model.config;
    if config.diffusion.prediction != PredictionType::Epsilon {
        let got = format!("{:?}", config.diffusion.prediction);
        return Err(Failure::option("prediction", got, "exits are of networks that predict noise"));
    }
    let shape = [config.in_channels, config.input_size, config.input_size].map(|n| n as usize);
    let wanted = Wanted { shape, classes: config.num_classes as usize };
    let data = TrainingSet::open(&args.data, &wanted)?;
    let subject = Subject {
        backbone: &*model.backbone,
        exits,
        diffusion: &model.diffusion,
        value_range: config.value_range,
    };
    let held_out = HeldOut {
        count: args.count,
        times: args.times,
        seed: args.seed,
        batch: layout.batch,
        threads: layout.threads,
    };
    let interrupt = Interrupt::listen();
    let table = features::watched(args.quiet || args.json, &interrupt, |progress| {
        held_out.table(subject, &data, progress)
    })?;
    let bootstrap = Bootstrap { seed: args.seed, ..Bootstrap::default() };
    let quality = ExitQuality::of(&table, &args.threshold, bootstrap);
    if args.json {
        let line = serde_json::json!({
            "event": "exits", "version": env!("CARGO_PKG_VERSION"),
            "weights": model.name, "sha256": model.sha256, "exits_sha256": exits.sha256(),
            "exits": exits.config(), "data": data.name, "seed": args.seed, "quality": quality,
        });
        return say!("{line}");
    }
    let command = command(&args);
    let card = card::card(&model.name, &inspect::trained(exits.config()), &data.name, &command, &quality);
    stdout::bytes(card.as_bytes())
}

/// The command that gives the same numbers.
fn command(args: &Args) -> String {
    let mut command = format!("offramp exits {}", args.weights);
    let usual = HeldOut::default();
    let options = [
        ("data", args.data.clone(), "data:fashion-mnist/test".to_owned()),
        ("count", args.count.to_string(), usual.count.to_string()),
        ("times", args.times.to_string(), usual.times.to_string()),
        ("seed", args.seed.to_string(), usual.seed.to_string()),
        ("batch", args.batch.to_string(), usual.batch.to_string()),
    ];
    for (name, value, _) in options.into_iter().filter(|(_, value, usual)| value != usual) {
        command += &format!(" --{name} {value}");
    }
    if !args.threshold.is_empty() {
        let thresholds: Vec<String> = args.threshold.iter().map(f64::to_string).collect();
        command += &format!(" --threshold {}", thresholds.join(","));
    }
    command
}
