//! How wrong each exit is along full-depth trajectories: e(s, i) = ‖g_i(x_s) − ε_N(x_s)‖², image by image.
//!
//! g_i is the network's output, guided, if it is left after block i and the tail stands in for the rest; ε_N its output
//! at full depth. With a tail that remembers, e(s, i, a) has what that tail learned at the evaluations before, the last of
//! them a evaluations back. A learned variance is not part of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ndarray::{Array4, s};
use tch::{Kind, Tensor};

use crate::backbone::{Backbone, Input, Model, State};
use crate::engine::ThreadSetting;
use crate::error::Error;
use crate::guidance::Guidance;
use crate::observer::Event;
use crate::row_memory::RowMemory;
use crate::sampler::{Request, Sampler};
use crate::solver::Node;
use crate::tail::{MAX_ORDER, Tail};

/// The squared errors of exits along trajectories.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectories {
    /// Times of the evaluations, S.
    pub times: Vec<f64>,
    /// Depths of the exits before the last block, P.
    pub points: Vec<usize>,
    /// Mean squared error over the numbers of an image's noise prediction, `[S, P, A, M]`; of ages that an evaluation
    /// cannot have, infinite.
    pub errors: Array4<f64>,
}

/// One worker's parts.
struct Walker<'a> {
    model: Model,
    tail: Box<dyn Tail>,
    guidance: Guidance,
    nodes: &'a [Node],
    points: &'a [usize],
    ages: usize,
}

/// What one evaluation's rows were, for the tail to learn later: a_i by exit and L_N.
struct Passed {
    lambda: Vec<f64>,
    states: Vec<Tensor>,
    end: Tensor,
}

impl Trajectories {
    /// Follows the trajectories of a request.
    ///
    /// The sampler must be at full depth, with the tail that is looked at; `ages` is how far back a remembering tail's last
    /// full evaluation may lie (others have 1). `go_on` is asked now and then; `None` once it said no.
    ///
    /// # Errors
    /// What [`Sampler::run`] refuses, and whatever libtorch does.
    pub fn follow(
        sampler: &Sampler,
        request: &Request,
        ages: usize,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Self>, Error> {
        let nodes: Vec<Node> = sampler.evaluations(request)?.iter().map(|e| e.node).collect();
        // x of every image at every evaluation.
        let mut seen: Vec<Vec<Option<Tensor>>> =
            nodes.iter().map(|_| (0..request.len()).map(|_| None).collect()).collect();
        let complete = sampler.run(request, &mut |event: &Event| {
            if let Event::Evaluated(e) = event {
                seen[e.evaluation][e.image] = Some(e.x.shallow_clone());
            }
            if go_on() { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) }
        })?;
        if !complete {
            return Ok(None);
        }
        let model = sampler.model();
        let depth = model.backbone.depth();
        let points: Vec<usize> =
            model.backbone.exit_points().iter().map(|p| p.depth).filter(|&d| d < depth).collect();
        let ages = if sampler.tail().remembers() { ages.max(1) } else { 1 };
        let layout = sampler.layout(request.len());
        // Batches of images, each with its x by evaluation.
        let batches: Vec<(usize, Vec<Tensor>)> = (0..request.len())
            .step_by(layout.batch)
            .map(|first| {
                let images = first..(first + layout.batch).min(request.len());
                let at = |of_time: &Vec<Option<Tensor>>| {
                    let of_time: Vec<&Tensor> = of_time[images.clone()].iter().flatten().collect();
                    Ok(Tensor::f_stack(&of_time, 0)?)
                };
                Ok((first, seen.iter().map(at).collect::<Result<_, Error>>()?))
            })
            .collect::<Result<_, Error>>()?;
        drop(seen);
        let mut errors = Array4::from_elem((nodes.len(), points.len(), ages, request.len()), f64::INFINITY);
        let walkers: Vec<Walker> = (0..layout.workers.min(batches.len()))
            .map(|_| Walker {
                model: model.share(),
                tail: sampler.tail().share(),
                guidance: sampler.guidance(),
                nodes: &nodes,
                points: &points,
                ages,
            })
            .collect();
        let count = walkers.len();
        let mut lanes: Vec<Vec<(usize, Vec<Tensor>)>> = (0..count).map(|_| vec![]).collect();
        for (k, batch) in batches.into_iter().enumerate() {
            lanes[k % count].push(batch);
        }
        let (stopped, classes) = (AtomicUsize::new(0), &request.classes);
        let _restored_on_return = ThreadSetting::set(1);
        let parts = thread::scope(|scope| {
            let running: Vec<_> = walkers
                .into_iter()
                .zip(lanes)
                .map(|(walker, lane)| {
                    let stopped = &stopped;
                    thread::Builder::new().spawn_scoped(scope, move || {
                        let _no_grad = tch::no_grad_guard();
                        tch::set_num_threads(layout.intra_op as i32);
                        let mut parts = vec![];
                        for (first, xs) in lane {
                            if stopped.load(Ordering::Relaxed) > 0 {
                                break;
                            }
                            let of_batch = &classes[first..first + xs[0].size()[0] as usize];
                            parts.push((first, walker.walk(&xs, of_batch)?));
                        }
                        Ok::<_, Error>(parts)
                    })
                })
                .collect();
            let mut parts = vec![];
            for handle in running {
                if !go_on() {
                    stopped.store(1, Ordering::Relaxed);
                }
                match handle.map_err(Error::Thread)?.join() {
                    Ok(of_lane) => parts.extend(of_lane?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok::<_, Error>(parts)
        })?;
        if stopped.load(Ordering::Relaxed) > 0 {
            return Ok(None);
        }
        for (first, of_batch) in parts {
            let images = of_batch.dim().3;
            errors.slice_mut(s![.., .., .., first..first + images]).assign(&of_batch);
        }
        Ok(Some(Self { times: nodes.iter().map(|n| n.t).collect(), points, errors }))
    }
}

impl Walker<'_> {
    /// The errors of one batch, `[S, P, A, B]`; `xs` is its x `[B, C, H, W]` at each evaluation.
    fn walk(&self, xs: &[Tensor], classes: &[Option<i64>]) -> Result<Array4<f64>, Error> {
        let images = classes.len();
        let shape = (self.nodes.len(), self.points.len(), self.ages, images);
        let mut errors = Array4::from_elem(shape, f64::INFINITY);
        let remembers = self.tail.remembers();
        // The evaluations before, the last first.
        let mut passed: VecDeque<Passed> = VecDeque::new();
        for (s, (x, node)) in xs.iter().zip(self.nodes).enumerate() {
            let backbone: &dyn Backbone = &*self.model.backbone;
            let guided = self.guidance.acts_at(node.t);
            let (input_x, class, rows) = self.rows(x, classes, guided)?;
            let t = Tensor::f_full([rows as i64], node.t, (Kind::Float, self.model.device))?;
            let mut state = backbone.begin(&Input { x: &input_x, t: &t, class: &class })?;
            let mut states: Vec<State> = vec![];
            for block in 0..backbone.depth() {
                backbone.block(block, &mut state)?;
                if self.points.contains(&(block + 1)) {
                    states.push(state.share());
                }
            }
            let end = state.hidden.shallow_clone();
            let full = self.join(&backbone.finish(backbone.depth(), state)?, images, guided, x.size()[1])?;
            let lambda = vec![node.lambda(); rows];
            let reach = if remembers { self.ages.min(s) } else { 1 };
            let memories =
                (0..reach).map(|age| self.taught(&passed, age, rows)).collect::<Result<Vec<_>, _>>()?;
            for (p, of_exit) in states.iter().enumerate() {
                for age in 0..reach {
                    let hidden = match remembers {
                        false => self.tail.stand_in(self.points[p], &of_exit.hidden)?,
                        true => {
                            let rows: Vec<&RowMemory> = memories[age].iter().collect();
                            self.tail.recall(self.points[p], &of_exit.hidden, &lambda, &rows)?
                        }
                    };
                    let output = backbone.finish(self.points[p], State { hidden, ..of_exit.share() })?;
                    let early = self.join(&output, images, guided, x.size()[1])?;
                    let square = early.f_sub(&full)?.f_square()?.f_flatten(1, -1)?;
                    let means = square.f_mean_dim(1, false, Kind::Double)?.f_to(tch::Device::Cpu)?;
                    for (k, mean) in Vec::<f64>::try_from(means)?.into_iter().enumerate() {
                        errors[[s, p, age, k]] = mean;
                    }
                }
            }
            if remembers {
                let states = states.iter().map(|state| state.hidden.shallow_clone()).collect();
                passed.push_front(Passed { lambda, states, end });
                // A polynomial needs some nodes behind the oldest age's.
                passed.truncate(self.ages + MAX_ORDER + 1);
            }
        }
        Ok(errors)
    }

    /// What the tail remembers of each row if it has learned all evaluations but the last `age`.
    fn taught(&self, passed: &VecDeque<Passed>, age: usize, rows: usize) -> Result<Vec<RowMemory>, Error> {
        let mut memory: Vec<RowMemory> = (0..rows).map(|_| RowMemory::default()).collect();
        if !self.tail.remembers() {
            return Ok(memory);
        }
        for of_evaluation in passed.iter().skip(age).rev() {
            for (p, a) in of_evaluation.states.iter().enumerate() {
                let count = of_evaluation.lambda.len();
                let mut rows: Vec<&mut RowMemory> = memory.iter_mut().take(count).collect();
                self.tail.learn(self.points[p], a, &of_evaluation.end, &of_evaluation.lambda, &mut rows)?;
            }
        }
        Ok(memory)
    }

    /// The network's rows: conditional ones, then, where guidance acts, unconditional ones.
    fn rows(
        &self,
        x: &Tensor,
        classes: &[Option<i64>],
        guided: bool,
    ) -> Result<(Tensor, Tensor, usize), Error> {
        let null = self.model.config.null_class.unwrap_or(0);
        let mut class: Vec<i64> = classes.iter().map(|c| c.unwrap_or(null)).collect();
        let mut rows = x.shallow_clone();
        if guided {
            class.extend(vec![null; classes.len()]);
            rows = Tensor::f_cat(&[x, x], 0)?;
        }
        let count = class.len();
        Ok((rows, Tensor::f_from_slice(&class)?.f_to(self.model.device)?, count))
    }

    /// One guided noise prediction an image, f64 `[B, C, H, W]`.
    fn join(&self, output: &Tensor, images: usize, guided: bool, channels: i64) -> Result<Tensor, Error> {
        let output = output.f_narrow(1, 0, channels)?.f_to_kind(Kind::Double)?;
        if !guided {
            return Ok(output);
        }
        // `combine` looks for the unconditional row behind the conditional one.
        let order: Vec<i64> = (0..images as i64).flat_map(|k| [k, images as i64 + k]).collect();
        let order = Tensor::f_from_slice(&order)?.f_to(self.model.device)?;
        let first: Vec<usize> = (0..images).map(|k| 2 * k).collect();
        let pairs = output.f_index_select(0, &order)?;
        Ok(self.guidance.combine(&pairs, &first, &vec![true; images], channels)?)
    }
}
