//! One schedule for one budget.

use std::path::Path;

use offramp::bench::Machine;
use offramp::calibrate::segments;
use offramp::exit::{Measured, Provenance, Schedule};
use offramp::output::write_json;

use super::super::budget::Budget;
use super::super::search::{Found, Grid, best, fine};
use super::super::speed::Speed;
use super::{Searched, words};
use crate::cli::Failure;
use crate::cli::stdout::say;

/// Finds it, measures it on held-out images, and writes it.
pub fn find(
    searched: &Searched,
    grids: &[Grid],
    budget: Budget,
    speed: Option<Speed>,
    out: &Path,
) -> Result<(), Failure> {
    let Searched { args, ground, interrupt } = searched;
    let Found { grid, choice, error } = best(grids, &budget, speed.as_ref())?;
    let validation = searched.validation(grid.steps)?;
    let depths = grid.spread(&choice.depths);
    let measured = validation.square_error(&depths, interrupt)?;
    let (timesteps, command) = (ground.model.diffusion.timesteps(), Machine::here().command);
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
                searched.tail()?,
                choice.cost,
                error.sqrt()
            ),
            source: command.clone(),
            weights_sha256: Some(ground.model.sha256.clone()),
            exits_trained: ground.model.exits.is_some(),
            measured: Some(Measured {
                command,
                n: args.images,
                seed: searched.held_out_seed(),
                rmse_to_full: measured.sqrt(),
            }),
        },
    };
    write_json(out, &schedule)?;
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
