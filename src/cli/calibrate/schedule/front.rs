//! The best schedules of all budgets, beside what they are to be better than.

use std::path::Path;

use offramp::bench::Machine;
use offramp::calibrate::{CalibrateError, FoundBy, Front, FrontPoint, segments};
use offramp::evaluate::exits::rank_correlation;
use offramp::exit::{Schedule, schedule_names};

use super::super::search::Grid;
use super::super::validation::Validation;
use super::{Searched, words};
use crate::cli::stdout::say;
use crate::cli::{Failure, places};

/// The budgets of a front.
const FRONT_BUDGETS: std::ops::RangeInclusive<u32> = 6..=20;
const BUDGET_STEP: f64 = 0.05;

/// A schedule with what was found out about it.
struct Tried {
    label: String,
    depths: Vec<usize>,
    cost: f64,
    predicted: f64,
    measured: f64,
}

/// Finds them, measures all on held-out images, and writes the front.
pub fn find(searched: &Searched, grid: &Grid, out: &Path) -> Result<(), Failure> {
    let Searched { args, ground, .. } = searched;
    let validation = searched.validation(grid.steps)?;
    let tried = |label: String, depths: Vec<usize>| try_out(searched, &validation, grid, label, depths);
    let (search, timesteps) = (grid.table.search(), ground.model.diffusion.timesteps());
    let mut points = vec![];
    for budget in FRONT_BUDGETS.map(|k| f64::from(k) * BUDGET_STEP) {
        let Some(choice) = search.at(budget) else { continue };
        points.extend(tried(format!("{budget:.2}"), choice.depths)?);
    }
    // What it is to be better than: fixed depths, and the schedules that are there.
    let mut others = vec![];
    if !grid.table.remembers {
        for &depth in &grid.table.points {
            others.extend(tried(format!("fixed:{depth}"), vec![depth; grid.table.spans()])?);
        }
    }
    let folder = places::schedules(&ground.folder);
    for name in schedule_names(&folder) {
        let schedule = Schedule::read(folder.join(format!("{name}.json")))?;
        let same_model = schedule.depth == ground.model.backbone.depth() && schedule.timesteps == timesteps;
        if let Some(depths) = grid.gather(&schedule).filter(|_| same_model) {
            others.extend(tried(name, depths)?);
        }
    }
    let all: Vec<&Tried> = points.iter().chain(&others).filter(|t| t.predicted > 0.0).collect();
    let of = |value: fn(&Tried) -> f64| all.iter().map(|t| value(t)).collect::<Vec<_>>();
    let correlation = rank_correlation(&of(|t| t.predicted), &of(|t| t.measured));
    let found = FoundBy {
        command: Machine::here().command,
        solver: ground.solver.to_string(),
        steps: grid.steps,
        guidance: ground.guidance.scale,
        tail: searched.tail()?,
        images: args.images,
        seed: args.seed,
        held_out: args.images,
        held_out_seed: searched.held_out_seed(),
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
        points.iter().map(point).collect::<Result<_, CalibrateError>>()?,
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
        grid.steps,
        ground.solver
    )?;
    say!("front     {}", out.display())
}

/// Predicts and measures a schedule.
fn try_out(
    searched: &Searched,
    validation: &Validation,
    grid: &Grid,
    label: String,
    depths: Vec<usize>,
) -> Result<Option<Tried>, Failure> {
    let Some(predicted) = grid.table.predict(&depths) else { return Ok(None) };
    let (cost, measured) =
        (grid.table.cost(&depths), validation.square_error(&grid.spread(&depths), searched.interrupt)?);
    Ok(Some(Tried { label, depths, cost, predicted, measured }))
}
