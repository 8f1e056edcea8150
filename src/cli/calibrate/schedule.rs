//! `offramp calibrate schedule`: the depth schedule of least error for a budget, found on recorded errors.

use std::path::PathBuf;
use std::str::FromStr;

use offramp::calibrate::{FoundBy, Front, FrontPoint, segments};
use offramp::evaluate::exits::rank_correlation;
use offramp::exit::{FRONT, Measured, Provenance, Schedule, schedule_names};

use super::command;
use super::search::{Found, Grid, best, fine, recordings};
use super::setting::{Ground, Setting};
use super::speed::Speed;
use super::validation::Validation;
use crate::cli::interrupt::Interrupt;
use crate::cli::stdout::say;
use crate::cli::{Failure, places, target};

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

/// What an image may cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// A share of block cost.
    Share(f64),
    /// Milliseconds an image.
    Milliseconds(f64),
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (number, milliseconds) = s.strip_suffix("ms").map_or((s, false), |ms| (ms, true));
        match number.parse::<f64>() {
            Ok(ms) if milliseconds && ms > 0.0 && ms.is_finite() => Ok(Self::Milliseconds(ms)),
            Ok(share) if !milliseconds && share > 0.0 && share <= 1.0 => Ok(Self::Share(share)),
            _ => Err("it must be a share above 0 and up to 1, or milliseconds as 60ms".into()),
        }
    }
}

/// The budgets of a front.
const FRONT_BUDGETS: std::ops::RangeInclusive<u32> = 6..=20;
const BUDGET_STEP: f64 = 0.05;

/// A schedule with what was found out about it.
struct Tried {
    label: String,
    steps: usize,
    depths: Vec<usize>,
    cost: f64,
    predicted: f64,
    measured: f64,
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
            std::fs::create_dir_all(folder).map_err(|source| offramp::output::OutputError::NotWritable {
                folder: folder.to_owned(),
                source,
            })?;
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
    match args.budget {
        Some(budget) => one(&args, &ground, &grids, budget, speed, &out, &interrupt),
        None => front(&args, &ground, &grids[0], &out, &interrupt),
    }?;
    if !args.setting.quiet && !args.setting.json {
        say!("errors    {}", errors.display())?;
    }
    Ok(())
}

/// Seed of the images that schedules are measured on.
fn held_out_seed(args: &Args) -> u64 {
    args.seed.wrapping_add(args.images as u64)
}

/// Predicts and measures a schedule.
fn tried(
    label: String,
    grid: &Grid,
    depths: Vec<usize>,
    validation: &Validation,
    interrupt: &Interrupt,
) -> Result<Option<Tried>, Failure> {
    let Some(predicted) = grid.table.predict(&depths) else { return Ok(None) };
    let (cost, measured) =
        (grid.table.cost(&depths), validation.square_error(&grid.spread(&depths), interrupt)?);
    Ok(Some(Tried { label, steps: grid.steps, depths, cost, predicted, measured }))
}

/// One schedule for one budget.
fn one(
    args: &Args,
    ground: &Ground,
    grids: &[Grid],
    budget: Budget,
    speed: Option<Speed>,
    out: &std::path::Path,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let Found { grid, choice, error } = best(grids, &budget, speed.as_ref())?;
    let validation = Validation::new(ground, grid.steps, ground.request(args.images, held_out_seed(args)))?;
    let depths = grid.spread(&choice.depths);
    let measured = validation.square_error(&depths, interrupt)?;
    let timesteps = ground.model.diffusion.timesteps();
    let schedule = Schedule {
        version: 1,
        name: out.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        depth: ground.model.backbone.depth(),
        timesteps,
        segments: segments(&grid.times, &depths, timesteps)?,
        provenance: Provenance {
            method: format!(
                "Found by dynamic programming over recorded errors of {} trajectories for {} in {} steps, tail {}: cost \
                 {:.3} of full depth's, predicted RMSE {:.4}.",
                args.images,
                ground.solver,
                grid.steps,
                ground.sampler(1)?.tail().spec(),
                choice.cost,
                error.sqrt()
            ),
            source: command::typed(),
            weights_sha256: Some(ground.model.sha256.clone()),
            exits_trained: ground.model.exits.is_some(),
            measured: Some(Measured {
                command: command::typed(),
                n: args.images,
                seed: held_out_seed(args),
                rmse_to_full: measured.sqrt(),
            }),
        },
    };
    offramp::output::write_atomically(out, |file| {
        serde_json::to_writer_pretty(file, &schedule)
            .map_err(|e| offramp::output::OutputError::Io { file: out.to_owned(), source: e.into() })
    })?;
    let ms = speed.map(|s| s.milliseconds(choice.cost, grid.times.len()));
    if args.setting.json {
        return say!(
            "{}",
            serde_json::json!({
                "event": "schedule", "file": out, "steps": grid.steps, "cost": choice.cost, "depths": depths,
                "predicted_rmse": choice.error.sqrt(), "measured_rmse": measured.sqrt(),
                "discretisation_rmse": grid.discretisation.sqrt(), "predicted_milliseconds": ms,
            })
        );
    }
    if args.setting.quiet {
        return Ok(());
    }
    say!("steps     {} of {}", grid.steps, ground.solver)?;
    say!(
        "cost      {:.3} of their block cost at full depth{}",
        choice.cost,
        ms.map_or(String::new(), |ms| format!("; {ms:.1} ms an image here"))
    )?;
    say!("depths    {}", words(&depths))?;
    say!(
        "RMSE      to full depth: predicted {:.4}, on {} other images {:.4}",
        choice.error.sqrt(),
        args.images,
        measured.sqrt()
    )?;
    if grids.len() > 1 {
        say!(
            "          of full depth in these steps to {} steps: {:.4}",
            fine(ground),
            grid.discretisation.sqrt()
        )?;
    }
    say!("schedule  {}", out.display())
}

/// The best schedules of all budgets.
fn front(
    args: &Args,
    ground: &Ground,
    grid: &Grid,
    out: &std::path::Path,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let validation = Validation::new(ground, grid.steps, ground.request(args.images, held_out_seed(args)))?;
    let (search, timesteps) = (grid.table.search(), ground.model.diffusion.timesteps());
    let mut points = vec![];
    for budget in FRONT_BUDGETS.map(|k| f64::from(k) * BUDGET_STEP) {
        let Some(choice) = search.at(budget) else { continue };
        points.extend(tried(format!("{budget:.2}"), grid, choice.depths, &validation, interrupt)?);
    }
    // What it is to be better than: fixed depths, and the schedules that are there.
    let mut others = vec![];
    if !grid.table.remembers {
        for &depth in &grid.table.points {
            others.extend(tried(
                format!("fixed:{depth}"),
                grid,
                vec![depth; grid.table.spans()],
                &validation,
                interrupt,
            )?);
        }
    }
    let folder = places::schedules(&ground.folder);
    for name in schedule_names(&folder) {
        let schedule = Schedule::read(folder.join(format!("{name}.json")))?;
        let same_model = schedule.depth == ground.model.backbone.depth() && schedule.timesteps == timesteps;
        if let Some(depths) = grid.gather(&schedule).filter(|_| same_model) {
            others.extend(tried(name, grid, depths, &validation, interrupt)?);
        }
    }
    let all: Vec<&Tried> = points.iter().chain(&others).filter(|t| t.predicted > 0.0).collect();
    let of = |value: fn(&Tried) -> f64| all.iter().map(|t| value(t)).collect::<Vec<_>>();
    let correlation = rank_correlation(&of(|t| t.predicted), &of(|t| t.measured));
    let found = FoundBy {
        command: command::typed(),
        solver: ground.solver.to_string(),
        steps: grid.steps,
        guidance: ground.guidance.scale,
        tail: ground.sampler(1)?.tail().spec(),
        images: args.images,
        seed: args.seed,
        held_out: args.images,
        held_out_seed: held_out_seed(args),
        correlation,
    };
    let point = |t: &Tried| {
        Ok(FrontPoint {
            cost: t.cost,
            predicted_rmse: t.predicted.sqrt(),
            rmse: t.measured.sqrt(),
            segments: segments(&grid.times, &grid.spread(&t.depths), timesteps)?,
        })
    };
    let front = Front::new(
        ground.model.sha256.clone(),
        ground.model.exits.as_ref().and_then(|e| e.sha256()).map(str::to_owned),
        [ground.model.backbone.depth(), timesteps],
        found,
        points.iter().map(point).collect::<Result<_, offramp::calibrate::CalibrateError>>()?,
    );
    front.write(out)?;
    if args.setting.json {
        return say!("{}", serde_json::json!({ "event": "front", "file": out, "front": front }));
    }
    if args.setting.quiet {
        return Ok(());
    }
    say!(
        "{:<12} {:>5}  {:>9}  {:>9}  {:>14}  depths, noise to image",
        "budget",
        "cost",
        "predicted",
        "measured",
        "best at a cost"
    )?;
    for t in points.iter().chain(&others) {
        // The search never loses to a schedule of equal cost; by how much it wins is worth a column.
        let best = search.at(t.cost).map_or(f64::NAN, |c| c.error.sqrt());
        say!(
            "{:<12} {:>5.3}  {:>9.4}  {:>9.4}  {:>14.4}  {}",
            t.label,
            t.cost,
            t.predicted.sqrt(),
            t.measured.sqrt(),
            best,
            words(&t.depths)
        )?;
    }
    let correlation = correlation.map_or("no number".into(), |c| format!("{c:.3}"));
    say!(
        "RMSE to full depth, x in [−1, 1], measured on {} other images; Spearman's correlation of predicted and measured: \
         {correlation} over {} schedules, {} steps of {}",
        args.images,
        all.len(),
        points.first().map_or(0, |t| t.steps),
        ground.solver
    )?;
    say!("front     {}", out.display())
}

fn words(depths: &[usize]) -> String {
    depths.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}
