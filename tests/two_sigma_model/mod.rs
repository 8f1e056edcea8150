//! A small network with 2C outputs out of the parity fixtures, the sampler that draws two images with it, and
//! the straight loop that the sampler must equal.

#![allow(dead_code, reason = "each test crate uses its own part")]

#[path = "../solver_fixture/mod.rs"]
mod fixture;
#[path = "../straight_line/mod.rs"]
pub mod straight_line;

use std::sync::{Mutex, MutexGuard, PoisonError};

use fixture::Fixture;
use offramp::noise::{Draw, standard_normal};
use offramp::solver::{PredictionType, SolverSpec, StartAt, X0Clip};
use offramp::{Model, Request, Sampler};
use serde_json::Value;
use straight_line::Loop;
use tch::Tensor;

pub const STEPS: usize = 5;
pub const CLASSES: [i64; 2] = [1, 3];
pub const SEED: u64 = 11;
/// Of the fixture's network, which has [`DEPTH`] blocks and 2C outputs.
pub const CHW: [i64; 3] = [3, 8, 8];
pub const DEPTH: usize = 3;

/// One test at a time, on one libtorch thread: bits depend on the number of threads, and a test below is about
/// that number.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    tch::set_num_threads(1);
    guard
}

/// The fixture's network, after `edit` of its `config.json`.
pub fn model(edit: impl FnOnce(&mut Value)) -> Model {
    let fixture = Fixture::open("dit_meta_a");
    let folder = tempfile::tempdir().unwrap();
    let weight = |n: String| Some((n.strip_prefix("weights/")?.to_owned(), fixture.tensor(&n)));
    let weights: Vec<(String, Tensor)> = fixture.names().into_iter().filter_map(weight).collect();
    Tensor::write_safetensors(&weights, folder.path().join("model.safetensors")).unwrap();
    let mut config = fixture.cases().remove(0);
    edit(&mut config);
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    Model::open(folder.path()).unwrap()
}

pub fn sampler(model: &Model) -> Sampler {
    with_solver(model, "ddim")
}

pub fn with_solver(model: &Model, solver: &str) -> Sampler {
    Sampler::new(model.share()).with_solver(solver.parse().unwrap(), STEPS).with_batch(2).with_threads(1)
}

pub fn request() -> Request {
    Request::classes(CLASSES, SEED)
}

/// The images of a request, `[n, C, H, W]`.
pub fn images(sampler: &Sampler, request: &Request) -> Tensor {
    let outcome = sampler.sample(request, &mut ()).unwrap();
    Tensor::stack(&outcome.samples.iter().map(|s| &s.x).collect::<Vec<_>>(), 0)
}

/// The straight loop that [`request`] must equal.
pub fn straight(model: &Model, solver: &str) -> Loop<'static> {
    let plan = solver.parse::<SolverSpec>().unwrap().plan(&model.diffusion, STEPS, StartAt::Noise).unwrap();
    Loop {
        backbone: model.backbone.share(),
        plan,
        classes: CLASSES.to_vec(),
        seed: SEED,
        prediction: PredictionType::Epsilon,
        clip: X0Clip::None,
        guided: None,
        depth: DEPTH,
        stand_in: &|a: &Tensor| a.shallow_clone(),
    }
}

/// Noise of the request's images, `[n, C, H, W]`.
pub fn initial_noise() -> Tensor {
    let noise = |k| standard_normal(SEED + k, Draw::Initial, CHW).unwrap();
    Tensor::stack(&[noise(0), noise(1)], 0)
}

/// The times of a solver's evaluations.
pub fn times(model: &Model, solver: &str) -> Vec<f64> {
    straight(model, solver).plan.evaluations().iter().map(|e| e.node.t).collect()
}
