//! How wrong each exit is, and when: e(t, i) = mean ‖g_i(L_i,t) − ε_N,t‖² along full-depth trajectories.
//!
//! g_i is the network's output if it is left after i blocks (through its own final layer, behind the trained head where
//! there is one), ε_N its output at full depth. The table is what a schedule is searched on; its spread over images says what a decision made
//! for each image could gain.

use super::ledger::Ledger;
use super::models::{Models, weights_of};
use super::told::{Tell, Told, go_on};
use super::{BenchError, ExitErrors};
use crate::calibrate::{Look, Trajectories};
use crate::error::Error;
use crate::guidance::Guidance;
use crate::sampler::{Request, Sampler};
use crate::tail::default_tail;

/// Measures the exits of every model of a plan and keeps them in `exit_errors.json`; those that are there are kept.
/// False: it was stopped.
///
/// # Errors
/// The disk's, a damaged file, and whatever libtorch does.
pub fn measure_exits(models: &Models, ledger: &Ledger, tell: &mut Tell) -> Result<bool, BenchError> {
    let run = ledger.run();
    let images = run.plan.error_images;
    if images == 0 || ledger.exit_errors()?.is_some() {
        return Ok(true);
    }
    let mut all = vec![];
    for entry in weights_of(&run.plan) {
        let full = run.points.iter().filter(|p| p.weights == entry && p.id == p.full);
        let Some(point) = full.max_by_key(|p| p.settings.steps) else { continue };
        let what = format!("errors of {}'s exits, {images} trajectories", point.settings.weights);
        if tell(Told::Working { what: &what }).is_break() {
            return Ok(false);
        }
        let sampler = models.sampler(point)?;
        let request = models.request(point, 0..images);
        match exit_errors(&sampler, &request, &mut || go_on(tell))? {
            Some(errors) => all.push(errors),
            None => return Ok(false),
        }
    }
    ledger.keep_exit_errors(&all)?;
    Ok(true)
}

/// Measures the exits of the sampler's model along the full-depth trajectories of `request`.
///
/// The sampler must be at full depth. Trajectories are guided as the sampler says; the errors are those of the
/// conditional rows. `None` once `go_on` said no.
///
/// # Errors
/// What [`Sampler::run`] refuses, and whatever libtorch does.
pub fn exit_errors(
    sampler: &Sampler,
    request: &Request,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<ExitErrors>, Error> {
    let model = sampler.model();
    let tail = default_tail(model.exits.as_ref());
    let look = Look { tail: &*tail, guidance: Guidance::NONE, ages: 1 };
    let Some((followed, _)) = Trajectories::follow(sampler, request, &look, go_on)? else { return Ok(None) };
    let (mut error, mut spread) = (vec![], vec![]);
    for of_time in followed.errors.outer_iter() {
        // Behind the last block nothing is wrong.
        let of_exits = of_time.outer_iter().map(|of_exit| moments(of_exit.iter())).chain([(0.0, 0.0)]);
        let (means, deviations): (Vec<f64>, Vec<f64>) = of_exits.unzip();
        error.push(means);
        spread.push(deviations);
    }
    let (weights, blocks) = (model.name.clone(), model.backbone.depth());
    Ok(Some(ExitErrors { weights, blocks, t: followed.times, error, spread, n: request.len() }))
}

/// Mean and standard deviation.
fn moments<'v>(values: impl ExactSizeIterator<Item = &'v f64> + Clone) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let variance = values.map(|e| (e - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}
