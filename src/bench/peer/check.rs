//! What comes before a peer is timed: its forward, its images, and its better arrangement.

use serde_json::json;
use tch::Tensor;

use super::answer::Checked;
use super::{Arrangement, FORWARD_AGREEMENT, IMAGE_AGREEMENT, Peer, PeerError, Trial};
use crate::backbone::{Input, Model};
use crate::guidance::Guidance;
use crate::noise::{self, Draw};
use crate::sampler::{Request, Sampler};
use crate::solver::SolverSpec;

// Rounds in which the arrangements take turns, and the solver steps of such a draw.
const TRIAL_ROUNDS: usize = 2;
const TRIAL_STEPS: usize = 2;

impl Peer {
    /// Compares forwards, in every arrangement, on a batch of the size that draws have.
    pub(super) fn check_forward(
        &mut self,
        model: &Model,
        arrangements: &[Arrangement],
    ) -> Result<(), PeerError> {
        let rows = self.run.batch * if self.run.guidance == 1.0 { 1 } else { 2 };
        let (timesteps, classes) = (model.diffusion.timesteps(), model.config.num_classes);
        let x: Result<Vec<_>, _> =
            (0..rows).map(|r| noise::standard_normal(r as u64, Draw::Evaluation(0), self.chw)).collect();
        let x = Tensor::f_stack(&x?, 0)?;
        let t: Vec<f32> = (0..rows).map(|r| ((r + 1) * 37 % timesteps) as f32).collect();
        let t = Tensor::f_from_slice(&t)?;
        let class: Vec<i64> = (0..rows as i64).map(|r| r % classes).collect();
        let class = Tensor::f_from_slice(&class)?;
        let out = forward(model, &Input { x: &x, t: &t, class: &class })?;
        let file = self.folder.path().join("check.safetensors");
        Tensor::write_safetensors(&[("x", &x), ("t", &t), ("class", &class), ("out", &out)], &file)?;
        for arrangement in arrangements {
            for child in &mut self.children[..arrangement.processes] {
                let checked: Checked =
                    child.ask(&json!({ "order": "check", "file": file, "threads": arrangement.threads }))?;
                self.compile_seconds += checked.compile_seconds;
                self.forward_difference = larger(self.forward_difference, checked.difference);
            }
        }
        within(self.forward_difference, FORWARD_AGREEMENT, |difference, bound| PeerError::Forward {
            peer: self.name.clone(),
            difference,
            bound,
        })
    }

    /// One micro-batch for every process, of all classes.
    pub(super) fn trial_request(&self, model: &Model) -> Request {
        let images = self.run.batch * self.children.len();
        Request::classes((0..images as i64).map(|k| k % model.config.num_classes), 0)
    }

    /// Compares finished images with those of our sampler at full depth.
    pub(super) fn check_images(
        &mut self,
        model: &Model,
        spec: SolverSpec,
        threads: usize,
        request: &Request,
    ) -> Result<(), PeerError> {
        let sampler = Sampler::new(model.share())
            .with_solver(spec, self.run.steps)
            .with_guidance(Guidance::scale(self.run.guidance))
            .with_batch(self.run.batch)
            .with_threads(threads);
        let ours = sampler.sample(request, &mut ())?;
        let ours: Vec<&Tensor> = ours.samples.iter().map(|s| &s.x).collect();
        let ours = Tensor::f_stack(&ours, 0)?;
        let theirs = self.draw(request)?.images;
        self.image_difference = ours.f_sub(&theirs)?.f_abs()?.f_max()?.f_double_value(&[])?;
        let bound = if self.hello.exact { IMAGE_AGREEMENT } else { f64::MAX };
        within(self.image_difference, bound, |difference, bound| PeerError::Images {
            peer: self.name.clone(),
            difference,
            bound,
        })
    }

    /// Lets the arrangements take turns and keeps the fastest.
    pub(super) fn choose(
        &mut self,
        arrangements: &[Arrangement],
        request: &Request,
    ) -> Result<(), PeerError> {
        let steps = self.run.steps.min(TRIAL_STEPS);
        let evaluations = (request.len() * steps) as f64;
        let trial = |&arrangement| Trial { arrangement, evaluations_per_second: 0.0 };
        let mut trials: Vec<Trial> = arrangements.iter().map(trial).collect();
        if let [only] = &mut trials[..] {
            only.evaluations_per_second =
                evaluations / self.draw_as(only.arrangement, steps, request)?.seconds;
        } else {
            for _ in 0..TRIAL_ROUNDS {
                for trial in &mut trials {
                    let speed = evaluations / self.draw_as(trial.arrangement, steps, request)?.seconds;
                    trial.evaluations_per_second = trial.evaluations_per_second.max(speed);
                }
            }
        }
        trials.sort_by(|a, b| b.evaluations_per_second.total_cmp(&a.evaluations_per_second));
        self.arrangement = trials[0].arrangement;
        self.children.truncate(self.arrangement.processes);
        self.trials = trials;
        Ok(())
    }
}

/// Our forward at full depth, `[R, C or 2C, H, W]`.
fn forward(model: &Model, input: &Input) -> Result<Tensor, tch::TchError> {
    let _no_grad = tch::no_grad_guard();
    let mut state = model.backbone.begin(input)?;
    for i in 0..model.backbone.depth() {
        model.backbone.block(i, &mut state)?;
    }
    model.backbone.finish(model.backbone.depth(), state)
}

/// The larger of two differences, where NaN is larger than all.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// Refuses a difference above its bound, or NaN.
fn within(difference: f64, bound: f64, refuse: impl Fn(f64, f64) -> PeerError) -> Result<(), PeerError> {
    if difference <= bound { Ok(()) } else { Err(refuse(difference, bound)) }
}
