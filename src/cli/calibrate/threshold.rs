//! `offramp calibrate threshold`: an exit's threshold for a mean cost, a promise, or by its scores.

use std::path::PathBuf;

use offramp::bench::Machine;
use offramp::calibrate::{
    BetaMixture, Calibrated, HoldsFor, Losses, OnHeldOut, Promise, Settled, Tested, one_threshold, overheard,
};
use offramp::exit::ExitSpec;
use offramp::output::OutputError;

use super::setting::{Ground, Setting};
use super::template::Template;
use super::validation::{Validation, mean};
use crate::cli::interrupt::Interrupt;
use crate::cli::stdout::say;
use crate::cli::{Failure, places, target};

/// Finds an exit's threshold: for a mean cost, for a promise on the error, or by its scores.
///
/// The result names all that it holds for (weights, solver, steps, guidance, tail, dtype, labels), and `--exit
/// threshold:NAME` refuses other runs. Calibration images are rolled out with the exits on; held-out images follow behind
/// them, and images that thresholds to be tested are chosen on lie behind those.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
#[command(group(clap::ArgGroup::new("aim").required(true).args(["budget", "max_error", "method"])))]
#[command(after_help = "Examples:\n  \
    offramp calibrate threshold --weights fashion-dit-exits --budget 0.5 --name half\n  \
    offramp calibrate threshold --weights fashion-dit-exits --max-error 0.1 --risk 0.05 --confidence 0.95 --name safe\n  \
    offramp calibrate threshold --weights fashion-dit-exits --exit similarity,min=6 --method beta-mixture --name mixed\n  \
    offramp generate --weights fashion-dit-exits --exit threshold:half --class all --count 100")]
pub struct Args {
    #[command(flatten)]
    pub setting: Setting,

    /// Solver steps.
    #[arg(long, default_value_t = 20, value_name = "N")]
    steps: usize,

    /// The exit without its threshold, with limits: uncertainty, gate, similarity or change.
    #[arg(long, default_value = "uncertainty", value_name = "RULE[,LIMIT…]")]
    exit: String,

    /// A mean cost, as a share of full depth's.
    #[arg(long, value_name = "SHARE")]
    budget: Option<f64>,

    /// The RMSE to full depth that an image may have, x in [−1, 1]: δ.
    #[arg(long, value_name = "RMSE", requires = "risk")]
    max_error: Option<f64>,

    /// Share of images that may have more: α.
    #[arg(long, value_name = "SHARE", requires = "max_error")]
    risk: Option<f64>,

    /// How sure of that: 1 − ε.
    #[arg(long, default_value_t = 0.95, value_name = "SHARE")]
    confidence: f64,

    /// beta-mixture: the lowest score whose posterior of the confident group exceeds --zeta.
    #[arg(long, value_parser = ["beta-mixture"])]
    method: Option<String>,

    /// The posterior that beta-mixture asks for.
    #[arg(long, default_value_t = 0.4, value_name = "SHARE")]
    zeta: f64,

    /// Calibration images; as many are held out.
    #[arg(long, default_value_t = 300, value_name = "N")]
    images: usize,

    /// Seed of the first.
    #[arg(long, default_value_t = 2_000_000, value_name = "S")]
    seed: u64,

    /// The result's name.
    #[arg(long, default_value = "found", value_name = "NAME")]
    name: String,

    /// Where it is written; by default NAME.threshold.json among the weights' schedules.
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
}

/// Images that thresholds to be tested are chosen on.
const TUNING: usize = 32;
/// Thresholds that a promise is tested at.
const SETTINGS: usize = 24;
/// By how much a mean cost may fall short of its budget, as a share of it.
const SHORT: f64 = 0.005;

/// The exit that was settled on, how, and what calibration images cost.
struct Answer {
    exit: ExitSpec,
    settled: Settled,
}

pub fn run(args: Args) -> Result<(), Failure> {
    if args.images < 2 {
        return Err(Failure::option("--images", args.images, "at least 2"));
    }
    let promise = args.risk.map(|risk| Promise::new(risk, args.confidence)).transpose()?;
    if let Some(promise) = promise
        && (args.images as u64) < promise.least_images()
    {
        let reason = format!("even no failure among so few is no proof; at least {}", promise.least_images());
        return Err(Failure::option("--images", args.images, reason));
    }
    if args.max_error.is_some_and(|e| !(e > 0.0 && e.is_finite())) {
        return Err(Failure::option("--max-error", args.max_error.unwrap_or_default(), "a positive number"));
    }
    let ground = args.setting.open()?;
    let template = Template::parse(&args.exit, ground.model.exits.as_ref())?;
    let schedules = places::schedules(&ground.folder);
    let build = |spec: &ExitSpec| spec.build(&schedules, ground.model.exits.as_ref()).map_err(Failure::from);
    let request = ground.request(args.images, args.seed);
    ground.sampler(args.steps)?.with_exit(build(&template.at(template.never()))?).check(&request)?;

    let out = args.out.clone().unwrap_or_else(|| schedules.join(format!("{}.threshold.json", args.name)));
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|source| OutputError::NotWritable { folder: folder.to_owned(), source })?;
    }
    target::check(&out, None)?;
    let interrupt = Interrupt::listen();
    let tuning = ground.request(TUNING, args.seed.wrapping_add(2 * args.images as u64));
    let sampler = ground.sampler(args.steps)?;
    let scores = overheard(sampler, build(&template.at(template.never()))?, &tuning)?;
    let validation = Validation::new(&ground, args.steps, request)?;
    let answer = match (args.budget, promise, args.max_error) {
        (Some(budget), ..) => {
            let tolerance = SHORT * budget;
            let found = one_threshold(&scores, template.range(&scores), budget, tolerance, |limit| {
                Ok::<_, Failure>(validation.exit(build(&template.at(limit))?, &interrupt)?.cost)
            })?;
            let settled = Settled::Budget { budget, cost: found.best.cost };
            Answer { exit: template.at(found.best.threshold), settled }
        }
        (_, Some(promise), Some(max_error)) => promised(&template, &scores, promise, max_error, &|spec| {
            let rolled = validation.exit(build(spec)?, &interrupt)?;
            let losses: Losses = rolled.square_errors.iter().map(|e| e.sqrt() > max_error).collect();
            Ok((losses, rolled.cost))
        })?,
        _ => {
            let confidences: Vec<f64> = scores.iter().map(|u| (1.0 - u).clamp(0.0, 1.0)).collect();
            let mixture = BetaMixture::fit(&confidences)?;
            let settled = Settled::BetaMixture { zeta: args.zeta, share: mixture.share };
            let exit = match mixture.threshold(args.zeta)? {
                Some(confidence) => template.at(1.0 - confidence),
                None => offramp::exit::Rule::Full.into(),
            };
            Answer { exit, settled }
        }
    };
    let held_out_seed = args.seed.wrapping_add(args.images as u64);
    let held_out = Validation::new(&ground, args.steps, ground.request(args.images, held_out_seed))?;
    let rolled = held_out.exit(build(&answer.exit)?, &interrupt)?;
    let failed = args.max_error.map(|most| {
        let failed = rolled.square_errors.iter().filter(|e| e.sqrt() > most).count();
        failed as f64 / args.images as f64
    });
    let sampler = ground.sampler(args.steps)?;
    let calibrated = Calibrated {
        version: Calibrated::VERSION,
        exit: answer.exit.to_string(),
        holds_for: sampler.facts(held_out.request(), HoldsFor::run),
        settled: answer.settled,
        command: Machine::here().command,
        images: args.images,
        seed: args.seed,
        held_out: OnHeldOut {
            images: args.images,
            seed: held_out_seed,
            cost: rolled.cost,
            rmse: mean(&rolled.square_errors).sqrt(),
            failed,
        },
    };
    calibrated.write(&out)?;
    tell(&args, &calibrated, &out, &ground)
}

/// What calibration images lose with an exit, and what it costs.
type Roll<'a> = dyn Fn(&ExitSpec) -> Result<(Losses, f64), Failure> + 'a;

/// Tests thresholds from safe to fast until one fails.
fn promised(
    template: &Template,
    scores: &[f64],
    promise: Promise,
    max_error: f64,
    roll: &Roll,
) -> Result<Answer, Failure> {
    // Fixed before a calibration image is seen: even steps through the scores of other images.
    let mut limits: Vec<f64> = (1..=SETTINGS)
        .filter_map(|k| scores.get((scores.len() * k / SETTINGS).max(1) - 1).copied())
        .collect();
    limits.dedup();
    let mut costs = vec![];
    let sequence = promise.fixed_sequence(limits.len(), |setting| {
        let (losses, cost) = roll(&template.at(limits[setting]))?;
        costs.push(cost);
        Ok::<_, Failure>(losses)
    })?;
    let tests: Vec<Tested> = sequence
        .tests
        .iter()
        .zip(costs)
        .map(|(test, cost)| Tested {
            exit: template.at(limits[test.setting]).to_string(),
            cost,
            failures: test.losses.failures(),
            images: test.losses.images(),
            p_value: test.p_value,
            accepted: test.accepted,
        })
        .collect();
    let exit = match tests.iter().rev().find(|test| test.accepted) {
        Some(test) => test.exit.parse()?,
        None => offramp::exit::Rule::Full.into(),
    };
    Ok(Answer { exit, settled: Settled::Promise { max_error, promise, tests } })
}

fn tell(args: &Args, calibrated: &Calibrated, out: &std::path::Path, ground: &Ground) -> Result<(), Failure> {
    if args.setting.json {
        return say!("{}", serde_json::json!({ "event": "threshold", "file": out, "threshold": calibrated }));
    }
    if args.setting.quiet {
        return Ok(());
    }
    say!("exit      {}", calibrated.exit)?;
    match &calibrated.settled {
        Settled::Budget { budget, cost } => {
            let miss = 100.0 * (calibrated.held_out.cost / budget - 1.0);
            say!(
                "cost      {cost:.4} on calibration images; {:.4} on held-out ones, {miss:+.2} % from the budget",
                calibrated.held_out.cost
            )?;
        }
        Settled::Promise { max_error, promise, tests } => {
            for t in tests {
                say!(
                    "  {:<28} cost {:.3}  {:>4} of {} above {max_error}  p {:.2e}  {}",
                    t.exit,
                    t.cost,
                    t.failures,
                    t.images,
                    t.p_value,
                    if t.accepted { "passed" } else { "failed" }
                )?;
            }
            if tests.iter().all(|t| !t.accepted) {
                say!("nothing passed: the exit is full")?;
            }
            say!(
                "promise   at most {} of new images are further than {max_error} from full depth, with confidence {}; on held-out \
                 ones {:.3} are, at cost {:.3}",
                promise.risk(),
                promise.confidence(),
                calibrated.held_out.failed.unwrap_or_default(),
                calibrated.held_out.cost
            )?;
        }
        Settled::BetaMixture { zeta, share } => {
            say!(
                "mixture   {:.0} % of the scores are in the confident group; posterior above {zeta}",
                100.0 * share
            )?;
        }
    }
    say!(
        "held out  {} images: cost {:.4}, RMSE to full depth {:.4}",
        calibrated.held_out.images,
        calibrated.held_out.cost,
        calibrated.held_out.rmse
    )?;
    say!(
        "for       {} in {} steps, tail {}, {}",
        calibrated.holds_for.solver,
        calibrated.holds_for.steps,
        calibrated.holds_for.tail,
        ground.model.name
    )?;
    say!("threshold {}", out.display())
}
