//! `offramp calibrate schedule`: the depth schedule of least error for a budget, found on recorded errors.

mod front;
mod one;

use std::path::PathBuf;

use offramp::calibrate::segments;
use offramp::exit::FRONT;
use offramp::output::OutputError;

use super::budget::Budget;
use super::search::{Grid, recordings};
use super::setting::{Ground, Setting};
use super::speed::Speed;
use super::validation::Validation;
use crate::cli::interrupt::Interrupt;
use crate::cli::stdout::say;
use crate::cli::{Failure, places, target};

/// What a search has to go on.
struct Searched<'a> {
    args: &'a Args,
    ground: &'a Ground,
    interrupt: &'a Interrupt,
}

/// Finds the depth schedule of least error for a budget.
///
/// Errors of all exits, and what an error at each step does to the image, are recorded once; then every budget is
/// solved exactly. Without --budget the best schedules of all budgets go into one file, which `generate --exit best
/// --budget B` picks from.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  offramp calibrate schedule --weights fashion-dit-exits\n  \
    offramp calibrate schedule --weights fashion-dit-exits --steps 10 --budget 0.4 --name lean\n  \
    offramp calibrate schedule --steps 5,6,8,10,15,20 --budget 60ms --name quick")]
pub struct Args {
    #[command(flatten)]
    pub setting: Setting,

    /// Solver steps; of several, the best for the budget is found.
    #[arg(long, default_value = "20", value_delimiter = ',', value_name = "N,…")]
    pub steps: Vec<usize>,

    /// The most that an image may cost: a share of block cost at full depth and the most steps (0.4), or milliseconds
    /// (60ms).
    #[arg(long, value_name = "SHARE|MS")]
    budget: Option<Budget>,

    /// The schedule's name.
    #[arg(long, default_value = "found", value_name = "NAME", requires = "budget")]
    name: String,

    /// Where it is written; by default among the weights' schedules.
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,

    /// Where recorded errors are kept, and read from if they fit; by default out/calibrate/WEIGHTS/errors.npz.
    #[arg(long, value_name = "FILE.npz")]
    errors: Option<PathBuf>,

    /// Trajectories that errors are recorded on.
    #[arg(long, default_value_t = 32, value_name = "M")]
    pub images: usize,

    /// Seed of the first; held-out images follow behind them.
    #[arg(long, default_value_t = 1_000_000, value_name = "S")]
    pub seed: u64,

    /// Evaluations are taken together in at most so many spans, each of one depth.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub spans: usize,

    /// Evaluations that the last full one may lie back, for tails that remember.
    #[arg(long, default_value_t = 3, value_name = "A")]
    pub ages: usize,
}

pub fn run(args: Args) -> Result<(), Failure> {
    if args.images < 2 {
        return Err(Failure::option("--images", args.images, "at least 2"));
    }
    if args.steps.is_empty() || args.steps.contains(&0) {
        return Err(Failure::option("--steps", format!("{:?}", args.steps), "at least 1"));
    }
    if args.budget.is_none() && args.steps.len() > 1 {
        return Err(Failure::option(
            "--steps",
            format!("{:?}", args.steps),
            "a front is for one number of steps; --budget takes several",
        ));
    }
    let ground = args.setting.open()?;
    // Refused before anything is measured: settings that cannot be run, and times that no schedule can follow.
    for &steps in &args.steps {
        let (sampler, request) = (ground.sampler(steps)?, ground.request(args.images, args.seed));
        sampler.check(&request)?;
        let times: Vec<f64> = sampler.evaluations(&request)?.iter().map(|e| e.node.t).collect();
        segments(&times, &vec![1; times.len()], ground.model.diffusion.timesteps())?;
    }
    let schedules = places::schedules(&ground.folder);
    let out = args.out.clone().unwrap_or_else(|| match args.budget {
        Some(_) => schedules.join(format!("{}.json", args.name)),
        None => schedules.join(FRONT),
    });
    let errors = args
        .errors
        .clone()
        .unwrap_or_else(|| PathBuf::from("out/calibrate").join(&ground.model.name).join("errors.npz"));
    for file in [&out, &errors] {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| OutputError::NotWritable { folder: folder.to_owned(), source })?;
        }
        target::check(file, None)?;
    }
    let interrupt = Interrupt::listen();
    let grids = recordings(&args, &ground, &errors, &interrupt)?
        .into_iter()
        .map(|recording| Grid::new(recording, &ground))
        .collect::<Result<Vec<_>, _>>()?;
    let speed = match args.budget {
        Some(Budget::Milliseconds(_)) => {
            let longest = args.steps.iter().copied().max().unwrap_or(1);
            Some(Speed::measure(&ground, longest, &ground.request(args.images, args.seed))?)
        }
        _ => None,
    };
    let searched = Searched { args: &args, ground: &ground, interrupt: &interrupt };
    match args.budget {
        Some(budget) => one::find(&searched, &grids, budget, speed, &out),
        None => front::find(&searched, &grids[0], &out),
    }?;
    if !args.setting.quiet && !args.setting.json {
        say!("errors    {}", errors.display())?;
    }
    Ok(())
}

impl Searched<'_> {
    /// Seed of the images that schedules are measured on.
    fn held_out_seed(&self) -> u64 {
        self.args.seed.wrapping_add(self.args.images as u64)
    }

    /// Those images at full depth.
    fn validation(&self, steps: usize) -> Result<Validation<'_>, Failure> {
        let request = self.ground.request(self.args.images, self.held_out_seed());
        Validation::new(self.ground, steps, request)
    }

    /// The tail, as typed.
    fn tail(&self) -> Result<String, Failure> {
        Ok(self.ground.sampler(1)?.tail().spec())
    }
}

/// Depths as people read them.
fn words(depths: &[usize]) -> String {
    depths.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}
