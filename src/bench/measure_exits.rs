//! How wrong each exit is, and when: e(t, i) = mean ‖g_i(L_i,t) − ε_N,t‖² along full-depth trajectories.
//!
//! g_i is the network's output if it is left after i blocks (through its own final layer, behind the trained head where there is one), ε_N its output at
//! full depth. The table is what a schedule is searched on; its spread over images says what a decision made
//! for each image could gain.

use tch::{Kind, Tensor};

use super::ledger::Ledger;
use super::models::{Models, weights_of};
use super::told::{Tell, Told, go_on};
use super::{BenchError, ExitErrors};
use crate::backbone::{Backbone, Input, Model};
use crate::error::Error;
use crate::observer::Event;
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

/// The errors of one micro-batch at one evaluation: one list a depth, one number an image.
type Errors = Vec<Vec<f64>>;

/// Measures the exits of the sampler's model along the full-depth trajectories of `request`.
///
/// The sampler must be at full depth. Trajectories are guided as the sampler says; the errors are those of the
/// conditional rows. `go_on` is asked after every evaluation; `None` once it said no.
///
/// # Errors
/// What [`Sampler::run`] refuses, and whatever libtorch does.
pub fn exit_errors(
    sampler: &Sampler,
    request: &Request,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<ExitErrors>, Error> {
    let model = sampler.model();
    let times: Vec<f64> = sampler.evaluations(request)?.iter().map(|e| e.node.t).collect();
    // x of every image at every evaluation.
    let mut seen: Vec<Vec<(usize, Tensor)>> = times.iter().map(|_| vec![]).collect();
    let complete = sampler.run(request, &mut |event: &Event| {
        if let Event::Evaluated(e) = event {
            seen[e.evaluation].push((e.image, e.x.shallow_clone()));
        }
        if go_on() { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) }
    })?;
    if !complete {
        return Ok(None);
    }
    let _no_grad = tch::no_grad_guard();
    let (mut error, mut spread) = (vec![], vec![]);
    for (mut xs, &t) in seen.into_iter().zip(&times) {
        xs.sort_by_key(|(image, _)| *image);
        let mut by_depth: Errors = vec![vec![]; model.backbone.exit_points().len()];
        for micro_batch in xs.chunks(sampler.layout(request.len()).batch) {
            if !go_on() {
                return Ok(None);
            }
            for (all, some) in by_depth.iter_mut().zip(at(model, request, t, micro_batch)?) {
                all.extend(some);
            }
        }
        let (means, deviations): (Vec<f64>, Vec<f64>) = by_depth.iter().map(|e| moments(e)).unzip();
        error.push(means);
        spread.push(deviations);
    }
    let (weights, blocks) = (model.name.clone(), model.backbone.depth());
    Ok(Some(ExitErrors { weights, blocks, t: times, error, spread, n: request.len() }))
}

/// Mean and standard deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// The errors of some images at time `t`.
fn at(model: &Model, request: &Request, t: f64, images: &[(usize, Tensor)]) -> Result<Errors, Error> {
    let backbone: &dyn Backbone = &*model.backbone;
    let x = Tensor::f_stack(&images.iter().map(|(_, x)| x).collect::<Vec<_>>(), 0)?; // [B, C, H, W]
    let null = model.config.null_class.unwrap_or(0);
    let class: Vec<i64> = images.iter().map(|(k, _)| request.classes[*k].unwrap_or(null)).collect();
    let class = Tensor::f_from_slice(&class)?.f_to(model.device)?;
    let t = Tensor::f_full([images.len() as i64], t, (Kind::Float, model.device))?;
    let tail = default_tail(model.exits.as_ref());
    let mut state = backbone.begin(&Input { x: &x, t: &t, class: &class })?;
    let mut outputs = vec![];
    let mut blocks = 0;
    for point in backbone.exit_points() {
        while blocks < point.depth {
            backbone.block(blocks, &mut state)?;
            blocks += 1;
        }
        // A learned variance is not part of the prediction.
        let mut left = state.share();
        if point.depth < backbone.depth() {
            left.hidden = tail.stand_in(point.depth, &left.hidden)?;
        }
        let output = backbone.finish(point.depth, left)?.f_narrow(1, 0, x.size()[1])?;
        outputs.push(output.f_to_kind(Kind::Double)?);
    }
    let Some(full) = outputs.last() else { return Ok(vec![]) };
    let error = |output: &Tensor| -> Result<Vec<f64>, Error> {
        let squares = output.f_sub(full)?.f_square()?.f_flatten(1, -1)?; // [B, C·H·W]
        let means = squares.f_mean_dim(&[1i64][..], false, Kind::Double)?;
        Ok(Vec::try_from(means.f_to_device(tch::Device::Cpu)?)?)
    };
    outputs.iter().map(error).collect()
}
