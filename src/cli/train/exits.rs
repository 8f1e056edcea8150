//! `offramp train exits`.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use offramp::data::TrainingSet;
use offramp::exit::{Schedule, find_schedule};
use offramp::learned::{EstimatorKind, HeadKind, Target};
use offramp::train::{DeediffTerms, ExitsRecipe, GateTable, Method, Origin, Recipe, Tune, train_exits};

use serde::de::DeserializeOwned;

use super::recipe::Options;
use super::session::Session;
use crate::cli::Failure;
use crate::cli::places;

/// Trains weights to be left early.
///
/// Like train backbone, the run is a folder that may be killed and continued; its weights/ holds the backbone and,
/// for the methods deediff and gate, exits.safetensors.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  offramp train exits --method deediff --tune exits\n  \
    offramp train exits --method deediff --tune all --teacher full --steps 2000 --out runs/tuned\n  \
    offramp train exits --method ase --schedule ase-demo\n  \
    offramp train exits --method gate --price 0.02")]
pub struct Args {
    /// The weights to start from: a folder, or its name under weights/.
    #[arg(long, default_value = "fashion-dit", value_name = "NAME|DIR")]
    from: String,

    /// Begin with fresh exits, where the weights have trained ones already, which are trained on otherwise.
    #[arg(long)]
    fresh: bool,

    /// How: ase, the noise loss at a schedule's depth; deediff, all exits at once with estimators of their errors;
    /// gate, heads and gates together.
    #[arg(long, value_enum)]
    method: MethodName,

    /// What changes: the exits alone, with the backbone bit-identical, or the backbone too. By default what the
    /// method's paper does: all for ase and deediff, exits for gate.
    #[arg(long, value_parser = word_of::<Tune>(&["exits", "all"]))]
    tune: Option<Tune>,

    /// ase: the schedule to train for, by name or file.
    #[arg(long, value_name = "NAME|FILE", required_if_eq("method", "ase"))]
    schedule: Option<String>,

    /// deediff, gate: depths of the exits; by default all but the last.
    #[arg(long, value_delimiter = ',', value_name = "D,…")]
    points: Option<Vec<usize>>,

    /// deediff, gate: what stands before the network's final layer at an exit.
    #[arg(long, default_value = "linear", value_parser = word_of::<HeadKind>(&["shared", "linear", "local", "global"]))]
    heads: HeadKind,

    /// deediff: the paper's estimator (uncertainty, of state and time) or the released code's (certainty, of the
    /// state alone).
    #[arg(long, default_value = "paper", value_parser = word_of::<EstimatorKind>(&["paper", "released"]))]
    estimator: EstimatorKind,

    /// deediff: the error that estimators tell: noise, |g_i − ε|; full, |g_i − g_N|.
    #[arg(long, default_value = "noise", value_parser = word_of::<Target>(&["noise", "full"]))]
    target: Target,

    /// deediff: what exits learn: noise, ε; full, g_N of the same pass.
    #[arg(long, default_value = "noise", value_parser = word_of::<Target>(&["noise", "full"]))]
    teacher: Target,

    /// deediff: λ, the weight of the estimators' loss.
    #[arg(long, default_value_t = 1.0, value_name = "W")]
    lambda: f64,

    /// deediff: β, the weight of the exits' losses beside full depth's.
    #[arg(long, default_value_t = 1.0, value_name = "W")]
    beta: f64,

    /// deediff: let gradients flow through the weights 1 − u, as the paper prints its loss.
    #[arg(long)]
    ual_grad: bool,

    /// deediff: exits that take part in a step, in turn; by default all.
    #[arg(long, value_name = "N")]
    exits_per_step: Option<usize>,

    /// gate: what the whole network costs, in units of the error; the higher, the earlier images leave.
    #[arg(long, default_value_t = 0.02, value_name = "PRICE")]
    price: f64,

    /// gate: width of the gates' hidden layer.
    #[arg(long, default_value_t = 32, value_name = "N")]
    hidden: usize,

    /// What the learning rate is multiplied by for heads, estimators and gates, which start from nothing.
    #[arg(long, default_value_t = 5.0, value_name = "FACTOR")]
    exits_rate: f64,

    /// gate: record the table of errors once, over N images, and leave the heads as they are; by default every step
    /// makes its own, and heads learn with the gates.
    #[arg(long, value_name = "N")]
    record: Option<usize>,

    /// The images, as for train backbone.
    #[arg(long, default_value = "fashion-mnist", value_name = "DATA")]
    data: String,

    /// The run's folder.
    #[arg(long, default_value = "runs/exits", value_name = "DIR")]
    out: PathBuf,

    #[command(flatten, next_help_heading = "Recipe")]
    recipe: Options,

    #[command(flatten, next_help_heading = "Session")]
    pub session: Session,
}

#[derive(Clone, Copy, ValueEnum)]
enum MethodName {
    Ase,
    Deediff,
    Gate,
}

/// A parser of these words, which are those that the type itself is written with.
fn word_of<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    words: &'static [&'static str],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(word.into()))
}

pub fn run(args: Args) -> Result<(), Failure> {
    let folder = places::weights(&args.from)?;
    let mut origin = Origin::weights(&folder)?;
    if args.fresh {
        origin.exits = None;
    }
    let exits = exits(&args, &folder, origin.config.depth)?;
    let usual = match exits.method {
        // The released recipe draws with a rate of 1e-5 over tens of thousands of steps; runs here are shorter.
        Method::Ase { .. } => Recipe { peak_rate: 1e-4, ..Recipe::default() },
        _ => Recipe::default(),
    };
    let data = TrainingSet::open(&args.data, &origin.wanted())?;
    args.session.tell_skipped(&data);
    let recipe = args.recipe.over(usual);
    let run = train_exits(recipe, &exits, &origin, data, args.session.place(&args.out))?;
    args.session.train(run, args.out)
}

fn exits(args: &Args, folder: &std::path::Path, depth: usize) -> Result<ExitsRecipe, Failure> {
    let points = args.points.clone().unwrap_or_else(|| (1..depth).collect());
    let method = match args.method {
        MethodName::Ase => {
            let name = args.schedule.as_deref().unwrap_or_default();
            Method::Ase { schedule: Schedule::read(find_schedule(name, &places::schedules(folder))?)? }
        }
        MethodName::Deediff => Method::Deediff(DeediffTerms {
            estimator: args.estimator,
            target: args.target,
            teacher: args.teacher,
            lambda: args.lambda,
            beta: args.beta,
            ual_grad: args.ual_grad,
            exits_per_step: args.exits_per_step.unwrap_or(points.len()),
        }),
        MethodName::Gate => {
            let table = args.record.map_or(GateTable::Joint, |images| GateTable::Recorded { images });
            Method::Gate { price: args.price, hidden: args.hidden, table }
        }
    };
    let usual = match args.method {
        MethodName::Gate => Tune::Exits,
        MethodName::Ase | MethodName::Deediff => Tune::All,
    };
    let tune = args.tune.unwrap_or(usual);
    let heads = match args.method {
        MethodName::Ase => HeadKind::Shared,
        MethodName::Deediff | MethodName::Gate => args.heads,
    };
    Ok(ExitsRecipe { method, tune, points, heads, haste: args.exits_rate })
}
