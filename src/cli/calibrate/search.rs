//! Recordings, read or made, and the best schedule over them for a budget.

use std::path::Path;

use offramp::calibrate::{CalibrateError, Choice, ErrorTable, Recording, read_recordings, write_recordings};
use offramp::exit::Schedule;

use super::budget::Budget;
use super::schedule::Args;
use super::setting::Ground;
use super::speed::Speed;
use super::validation::{mean, square_errors};
use crate::cli::Failure;
use crate::cli::interrupt::Interrupt;
use crate::cli::progress::Progress;

/// Steps of the run that discretisation is measured against, for each training timestep: at one for each some solvers
/// would come to a time twice.
const FINE: f64 = 0.5;

/// So many steps count as infinitely many.
pub fn fine(ground: &Ground) -> usize {
    ((ground.model.diffusion.timesteps() as f64 * FINE) as usize).max(1)
}

/// One number of steps: its table, and what its steps alone cost in squared error.
pub struct Grid {
    pub steps: usize,
    pub times: Vec<f64>,
    pub table: ErrorTable,
    pub discretisation: f64,
}

/// A schedule that meets a budget.
pub struct Found<'a> {
    pub grid: &'a Grid,
    pub choice: Choice,
    /// Squared error that is predicted, discretisation included.
    pub error: f64,
}

impl Grid {
    /// Depths by span as depths by evaluation.
    pub fn spread(&self, depths: &[usize]) -> Vec<usize> {
        let spans = depths.iter().zip(&self.table.sizes);
        spans.flat_map(|(&depth, &size)| std::iter::repeat_n(depth, size)).collect()
    }

    /// A schedule's depths by span; none where it changes within one.
    pub fn gather(&self, schedule: &Schedule) -> Option<Vec<usize>> {
        let mut times = self.times.iter();
        let span = |&size: &usize| {
            let mut depths = times.by_ref().take(size).map(|&t| schedule.depth_at(t));
            let first = depths.next()?;
            depths.all(|depth| depth == first).then_some(first)
        };
        self.table.sizes.iter().map(span).collect()
    }
}

/// Reads the recordings of `file` where it fits, measures the others, and keeps all.
pub fn recordings(
    args: &Args,
    ground: &Ground,
    file: &Path,
    interrupt: &Interrupt,
) -> Result<Vec<Recording>, Failure> {
    let with = ground.recorded_with(&args.setting, args)?;
    let mut kept = match file.is_file() {
        true => read_recordings(file)?,
        false => (with.clone(), vec![]),
    };
    if kept.0 != with {
        kept.1.clear();
    }
    let joint = args.steps.len() > 1;
    let exits = exits(ground);
    let request = ground.request(args.images, args.seed);
    for &steps in &args.steps {
        let fits =
            |r: &&Recording| r.steps == steps && r.exits == exits && (!joint || r.discretisation.is_some());
        if kept.1.iter().any(|r| fits(&r)) {
            continue;
        }
        let mut progress: Option<Progress> = None;
        let mut before = 0;
        let mut go_on = |done: usize, runs: usize| {
            let bar = progress.get_or_insert_with(|| {
                Progress::of(runs as u64, "runs", args.setting.quiet || args.setting.json)
            });
            bar.advance(done.saturating_sub(before) as u64);
            before = before.max(done);
            !interrupt.requested()
        };
        let measured =
            Recording::measure(ground.sampler(steps)?, &request, args.ages, args.spans, &exits, &mut go_on)?;
        if let Some(bar) = progress {
            bar.finish();
        }
        let Some(mut recording) = measured else {
            return Err(Failure::Interrupted { finished: 0, count: args.images });
        };
        if joint {
            recording.discretisation = Some(discretisation(ground, steps, &request)?);
        }
        kept.1.retain(|r| r.steps != steps);
        kept.1.push(recording);
        kept.1.sort_by_key(|r| r.steps);
        // After each: an interrupted run goes on from there.
        write_recordings(file, &with, &kept.1)?;
    }
    Ok(kept.1.into_iter().filter(|r| args.steps.contains(&r.steps)).collect())
}

/// The exits that are looked at: those that are trained, or, where none is, all.
fn exits(ground: &Ground) -> Vec<usize> {
    let backbone = &ground.model.backbone;
    let all = || backbone.exit_points().iter().map(|p| p.depth).filter(|&d| d < backbone.depth()).collect();
    let trained = ground.model.exits.as_ref().map(|exits| exits.config().points.clone());
    trained.filter(|points| !points.is_empty()).unwrap_or_else(all)
}

/// Mean squared distance of full-depth images of so many steps from those of very many.
fn discretisation(ground: &Ground, steps: usize, request: &offramp::Request) -> Result<f64, Failure> {
    let few = ground.sampler(steps)?.sample(request, &mut ())?.samples;
    let many = ground.sampler(fine(ground))?.sample(request, &mut ())?.samples;
    Ok(mean(&square_errors(&few, &many)?))
}

impl Grid {
    pub fn new(recording: Recording, ground: &Ground) -> Result<Self, Failure> {
        let backbone = &ground.model.backbone;
        let remembers = ground.sampler(1)?.tail().remembers();
        let table = recording.table(backbone.depth(), |d| backbone.cost(d), remembers);
        let times = recording.trajectories.times;
        Ok(Self {
            steps: recording.steps,
            times,
            table,
            discretisation: recording.discretisation.unwrap_or(0.0),
        })
    }
}

/// The schedule of least predicted error for a budget, over all numbers of steps; a share is of the block cost of the
/// longest grid at full depth.
pub fn best<'a>(grids: &'a [Grid], budget: &Budget, speed: Option<&Speed>) -> Result<Found<'a>, Failure> {
    let longest = grids.iter().map(|g| g.times.len()).max().unwrap_or(1);
    let mut found: Option<Found> = None;
    let mut least = f64::INFINITY;
    for grid in grids {
        let evaluations = grid.times.len();
        let share = match (budget, speed) {
            (Budget::Share(share), _) => share.share() * longest as f64 / evaluations as f64,
            (Budget::Milliseconds(ms), Some(speed)) => speed.share(*ms, evaluations),
            (Budget::Milliseconds(_), None) => continue,
        };
        let cheapest = grid.table.costs.first().copied().unwrap_or(1.0);
        least = least.min(cheapest * evaluations as f64 / longest as f64);
        let Some(choice) = grid.table.search().at(share) else { continue };
        let error = choice.error + grid.discretisation;
        if found.as_ref().is_none_or(|f| error < f.error) {
            found = Some(Found { grid, choice, error });
        }
    }
    found.ok_or_else(|| {
        let budget = match budget {
            Budget::Share(share) => share.share(),
            Budget::Milliseconds(ms) => speed.map_or(0.0, |s| s.share(*ms, longest)),
        };
        Failure::from(CalibrateError::Budget { budget, least })
    })
}
