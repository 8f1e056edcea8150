//! The sampler: a model, a solver, an exit and a tail, composed.
//!
//! ```text
//! Backbone × Solver × Exit × Tail  →  Sampler::sample(request, observer)  →  images
//! ```
//!
//! The four do not know each other's types. The sampler only carries tensors between them: the exit loop
//! runs the backbone as deep as the exit says and lets the tail stand in for the rest, guidance joins the
//! two halves of an image, a [`Prediction`](crate::solver::Prediction) is made once, and the solver moves
//! on.

mod exit_loop;
mod guided_rows;
mod lesson;
mod request;
mod slot;
mod start;
mod trajectory;
mod verify;

pub use request::{InitImage, Request, RequestError};
pub use verify::{Verify, VerifyError};

use std::ops::Range;

use self::exit_loop::Network;
use self::start::Start;
use self::trajectory::Worker;
use crate::backbone::Model;
use crate::engine::{self, BatchLayout, MAX_THREADS, Tell};
use crate::error::Error;
use crate::exit::{Bounds, Exit, Full, Moment, RunFacts};
use crate::guidance::Guidance;
use crate::observer::{Event, Observer, Sample};
use crate::solver::{Evaluation, Method, Solver, SolverError, SolverSpec, StartAt};
use crate::tail::{Tail, default_tail};

/// Draws images from a model, as deep as its exit says.
///
/// It holds no state between calls: two calls with the same settings and request give the same images.
pub struct Sampler {
    model: Model,
    exit: Box<dyn Exit>,
    tail: Box<dyn Tail>,
    solver: SolverSpec,
    steps: usize,
    guidance: Guidance,
    batch: Option<usize>,
    threads: usize,
    verify: Option<Verify>,
}

/// What a run came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The finished images, by index.
    pub samples: Vec<Sample>,
    /// Whether the observer broke off before the end.
    pub cancelled: bool,
}

impl Outcome {
    /// Block cost of the finished images as a share of full depth: in (0, 1], above 1 in verify mode; NaN when none was
    /// finished.
    pub fn cost_share(&self) -> f64 {
        let run: f64 = self.samples.iter().map(|s| s.cost).sum();
        let full: f64 = self.samples.iter().map(|s| s.full_cost).sum();
        run / full
    }

    /// Share of the drafts of verify mode that were accepted, in the finished images; NaN when none was drafted.
    pub fn acceptance(&self) -> f64 {
        let accepted: usize = self.samples.iter().map(|s| s.accepted).sum();
        let drafted: usize = self.samples.iter().map(|s| s.drafted).sum();
        accepted as f64 / drafted as f64
    }

    /// Blocks run per evaluation of the finished images, on average; NaN when none was finished.
    pub fn mean_depth(&self) -> f64 {
        let depths: Vec<usize> = self.samples.iter().flat_map(|s| s.depths.iter().copied()).collect();
        depths.iter().sum::<usize>() as f64 / depths.len() as f64
    }
}

impl Sampler {
    /// Full depth, the model's trained heads or the shared one, DPM-Solver++ 2M in 20 steps, no guidance, every core.
    pub fn new(model: Model) -> Self {
        Self {
            exit: Box::new(Full),
            tail: default_tail(model.exits.as_ref()),
            model,
            solver: SolverSpec::new(Method::DpmSolverPp { order: 2 }),
            steps: 20,
            guidance: Guidance::NONE,
            batch: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS),
            verify: None,
        }
    }

    /// Leaves as `exit` says.
    pub fn with_exit(mut self, exit: impl Exit + 'static) -> Self {
        self.exit = Box::new(exit);
        self
    }

    /// Lets `tail` stand in for skipped blocks.
    pub fn with_tail(mut self, tail: impl Tail + 'static) -> Self {
        self.tail = Box::new(tail);
        self
    }

    /// Moves by `solver` in `steps` steps.
    pub fn with_solver(mut self, solver: SolverSpec, steps: usize) -> Self {
        self.solver = solver;
        self.steps = steps;
        self
    }

    /// Guides as `guidance` says.
    pub fn with_guidance(mut self, guidance: Guidance) -> Self {
        self.guidance = guidance;
        self
    }

    /// Images per micro-batch; by default chosen from the request and the number of threads.
    pub fn with_batch(mut self, images: usize) -> Self {
        self.batch = Some(images);
        self
    }

    /// CPU threads in all, 1 to [`MAX_THREADS`]; others are brought into that range.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.clamp(1, MAX_THREADS);
        self
    }

    /// Takes the exit's and the tail's word for a draft only, and checks it in full.
    ///
    /// The solver must be deterministic, and none of `diffusers:NAME`; see [`Verify`].
    pub fn with_verify(mut self, verify: Verify) -> Self {
        self.verify = Some(verify);
        self
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The exit policy.
    pub fn exit(&self) -> &dyn Exit {
        &*self.exit
    }

    /// What stands in for skipped blocks.
    pub fn tail(&self) -> &dyn Tail {
        &*self.tail
    }

    /// The solver and its number of steps.
    pub fn solver(&self) -> (SolverSpec, usize) {
        (self.solver, self.steps)
    }

    /// The guidance.
    pub fn guidance(&self) -> Guidance {
        self.guidance
    }

    /// How drafts are verified, if they are.
    pub fn verify(&self) -> Option<Verify> {
        self.verify
    }

    /// Checks the settings and a request against the model, before anything is run.
    ///
    /// # Errors
    /// What [`Sampler::sample`] would refuse.
    pub fn check(&self, request: &Request) -> Result<(), Error> {
        if self.batch == Some(0) {
            return Err(RequestError::Batch.into());
        }
        request::check_request(request, &self.model)?;
        request::check_values(request)?;
        request::check_guidance(&self.guidance, &self.model)?;
        self.facts(request, |facts| self.exit.check(facts))?;
        let solver = self.build_solver(request)?;
        if let Some(verify) = &self.verify {
            verify.check(&self.solver, &solver)?;
        }
        match solver {
            Solver::Plan(plan) if plan.learns_variance() && !self.model.backbone.learns_variance() => {
                Err(SolverError::NoVariance.into())
            }
            _ => Ok(()),
        }
    }

    /// Hands over what a policy may ask of a request's run.
    pub fn facts<T>(&self, request: &Request, asks: impl FnOnce(&RunFacts) -> T) -> T {
        asks(&RunFacts {
            depth: self.model.backbone.depth(),
            exits: self.model.backbone.exit_points(),
            timesteps: self.model.diffusion.timesteps(),
            weights_sha256: &self.model.sha256,
            exits_sha256: self.model.exits.as_ref().and_then(|exits| exits.sha256()),
            solver: self.solver,
            steps: self.steps,
            guidance: self.guidance,
            tail: &self.tail.spec(),
            dtype: self.model.dtype,
            classes: &request.classes,
            strength: request.init.as_ref().map(|init| init.strength),
            verify: self.verify,
        })
    }

    /// The network evaluations of a request's trajectories.
    ///
    /// # Errors
    /// When the solver cannot take that many steps.
    pub fn evaluations(&self, request: &Request) -> Result<Vec<Evaluation>, Error> {
        Ok(self.build_solver(request)?.evaluations().to_vec())
    }

    /// The depths between which an image may leave at each of a trajectory's evaluations, as far as the time and the
    /// exit's settings say.
    pub fn bounds(&self, evaluations: &[Evaluation]) -> Vec<Bounds> {
        let (depth, nothing) = (self.model.backbone.depth(), vec![0.0; self.exit.memory()]);
        let moment = |(evaluation, e): (usize, &Evaluation)| {
            self.exit.bounds(&Moment { t: e.node.t, evaluation, depth, memory: &nothing }).within(depth)
        };
        evaluations.iter().enumerate().map(moment).collect()
    }

    /// How a request of `images` images is spread over the processor.
    pub fn layout(&self, images: usize) -> BatchLayout {
        BatchLayout::new(
            images,
            self.batch,
            self.threads,
            self.model.device,
            self.model.backbone.state_size(),
        )
    }

    /// Draws the images of a request and keeps them.
    ///
    /// The observer hears every evaluation and every finished image, on this thread; images that were
    /// finished before it broke off are in the outcome.
    ///
    /// # Errors
    /// What [`Sampler::check`] refuses, and whatever libtorch does.
    pub fn sample(&self, request: &Request, observer: &mut dyn Observer) -> Result<Outcome, Error> {
        let mut samples = vec![];
        let mut keep = |event: &Event| {
            if let Event::Finished(sample) = event {
                samples.push(sample.share());
            }
            observer.observe(event)
        };
        let complete = self.run(request, &mut keep)?;
        samples.sort_by_key(|s| s.image);
        Ok(Outcome { samples, cancelled: !complete })
    }

    /// Draws the images of a request and leaves them to the observer, so that memory does not grow with
    /// their number. Returns whether it ran to the end.
    ///
    /// # Errors
    /// What [`Sampler::check`] refuses, and whatever libtorch does.
    pub fn run(&self, request: &Request, observer: &mut dyn Observer) -> Result<bool, Error> {
        self.check(request)?;
        let layout = self.layout(request.len());
        let jobs: Vec<Range<usize>> = (0..request.len().div_ceil(layout.batch))
            .map(|m| layout.images(m, request.len()))
            .filter(|images| images.clone().any(|k| !request.done.contains(&k)))
            .collect();
        let workers = (0..layout.workers.min(jobs.len()))
            .map(|_| self.worker(request))
            .collect::<Result<Vec<Worker>, Error>>()?;
        // Only plain data of the request crosses to the workers; its tensors are in each worker's `start`.
        let (classes, seed, done) = (&request.classes, request.seed, &request.done);
        let work = |worker: &Worker, images: Range<usize>, tell: &mut Tell| {
            let slots = images.map(|k| worker.slot(k, seed.wrapping_add(k as u64), classes[k]));
            let mut wanted = |event: Event| done.contains(&event.image()) || tell(event);
            worker.run(slots.collect::<Result<_, _>>()?, &mut wanted)
        };
        let mut left = request.len() - request.done.range(..request.len()).count();
        let mut count = |event: &Event| {
            left -= usize::from(matches!(event, Event::Finished(_)));
            observer.observe(event)
        };
        engine::run(layout, &jobs, workers, work, &mut count)?;
        // Whoever breaks off at the very last event has all images all the same.
        Ok(left == 0)
    }

    fn build_solver(&self, request: &Request) -> Result<Solver, Error> {
        let start = request.init.as_ref().map_or(StartAt::Noise, |i| StartAt::Strength(i.strength));
        Ok(self.solver.build(&self.model.diffusion, self.steps, start)?)
    }

    fn worker(&self, request: &Request) -> Result<Worker, Error> {
        let solver = self.build_solver(request)?;
        let backbone = self.model.backbone.share();
        let first = solver.evaluations()[0].node;
        let start = Start::new(request, first, backbone.shape().chw(), self.model.device)?;
        let times: Vec<f64> = solver.evaluations().iter().map(|e| e.node.t).collect();
        let network = Network::new(backbone, self.exit.share(), self.tail.share(), &times);
        let (guidance, config) = (self.guidance, self.model.config.clone());
        let (verify, device) = (self.verify, self.model.device);
        Ok(Worker { network, solver, guidance, config, start, verify, device })
    }
}
