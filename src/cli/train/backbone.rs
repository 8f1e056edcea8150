//! `offramp train backbone`.

use std::path::PathBuf;

use offramp::data::TrainingSet;
use offramp::train::{Origin, Recipe, train_backbone};

use super::recipe::Options;
use super::session::Session;
use crate::cli::Failure;
use crate::cli::places;

/// Trains a denoiser to predict noise, from weights or from nothing.
///
/// The run is a folder: settings, metrics, loss.svg, sample sheets, the latest checkpoint, and weights/, which
/// every other command takes. It may be killed at any time and continued with --resume; the result is the same.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  offramp train backbone --from fashion-dit --steps 2000\n  \
    offramp train backbone --config my/config.json --data my/images --max-minutes 60\n  \
    offramp train backbone --config my/config.json --data my/images --resume")]
pub struct Args {
    /// Weights to go on from: a folder, or its name under weights/.
    #[arg(long, value_name = "NAME|DIR", conflicts_with = "config", required_unless_present = "config")]
    from: Option<String>,

    /// A network's config.json, to be trained from nothing.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The images: fashion-mnist; a folder with IDX files, or with a folder of PNG or JPEG a class; a .npz with
    /// arr_0 and arr_1.
    #[arg(long, default_value = "fashion-mnist", value_name = "DATA")]
    data: String,

    /// The run's folder.
    #[arg(long, default_value = "runs/backbone", value_name = "DIR")]
    out: PathBuf,

    #[command(flatten, next_help_heading = "Recipe")]
    recipe: Options,

    #[command(flatten, next_help_heading = "Session")]
    pub session: Session,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let recipe = args.recipe.over(Recipe::default());
    let origin = match (&args.from, &args.config) {
        (Some(from), _) => Origin::weights(&places::weights(from)?)?,
        (None, Some(config)) => Origin::scratch(config, recipe.seed)?,
        (None, None) => return Err(Failure::option("--from", "", "weights or --config are needed")),
    };
    let data = TrainingSet::open(&args.data, &origin.wanted())?;
    args.session.tell_skipped(&data);
    let run = train_backbone(recipe, &origin, data, args.session.place(&args.out))?;
    args.session.train(run, args.out)
}
