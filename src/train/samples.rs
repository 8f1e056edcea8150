//! Sample sheets: what the averaged weights draw, in the course of a run, always from the same seeds.

use super::{RunFolder, TrainError};
use crate::output::{Pixels, write_sheet};
use crate::{Request, Sampler};

/// Solver steps of a sheet's images.
const STEPS: usize = 10;
/// Columns of a sheet, one a class as far as they go.
const COLUMNS: usize = 10;
/// Rows.
const ROWS: usize = 4;

/// Draws a sheet as `samples/NNNNNN.png` of the folder.
pub(super) fn write_samples(
    folder: &RunFolder,
    step: usize,
    sampler: Sampler,
    threads: usize,
) -> Result<(), TrainError> {
    let refuse = |e: crate::Error| TrainError::Sheet(e.to_string());
    let sampler = sampler
        .with_solver(
            "dpm-solver++2m".parse().map_err(|e: crate::solver::SolverError| refuse(e.into()))?,
            STEPS,
        )
        .with_threads(threads);
    let classes = sampler.model().config.num_classes;
    let range = sampler.model().config.value_range;
    let wanted = (0..(COLUMNS * ROWS) as i64).map(|k| k % classes);
    let outcome = sampler.sample(&Request::classes(wanted, 0), &mut ()).map_err(refuse)?;
    let images = outcome.samples.iter().map(|s| Pixels::from_tensor(&s.x, range));
    let images = images.collect::<Result<Vec<_>, _>>()?;
    Ok(write_sheet(&folder.samples(step)?, &images, COLUMNS)?)
}
