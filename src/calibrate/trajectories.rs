//! How wrong each exit is along full-depth trajectories: e(s, i) = ‖g_i(x_s) − ε_N(x_s)‖², image by image.
//!
//! g_i is the network's output, guided, if it is left after block i and the tail stands in for the rest; ε_N its output
//! at full depth. With a tail that remembers, e(s, i, a) has what that tail learned at the evaluations before, the last of
//! them a evaluations back. A learned variance is not part of it.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use ndarray::{Array4, s};
use tch::{Kind, TchError, Tensor};

use crate::backbone::{Backbone, Input, Model, State};
use crate::error::Error;
use crate::evaluate::{EvaluateError, in_order};
use crate::guidance::Guidance;
use crate::observer::{Event, Sample};
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

/// How exits are looked at.
pub struct Look<'a> {
    /// What stands in for the blocks behind an exit.
    pub tail: &'a dyn Tail,
    /// How an exit's output is guided, and full depth's with it.
    pub guidance: Guidance,
    /// How many evaluations a remembering tail's last full one may lie back, A; others have 1.
    pub ages: usize,
}

/// One worker's parts, and the batches that it walks: images from the first on, and their x `[B, C, H, W]` at each
/// evaluation.
struct Walker<'a> {
    model: Model,
    tail: Box<dyn Tail>,
    guidance: Guidance,
    nodes: &'a [Node],
    points: &'a [usize],
    ages: usize,
    batches: Vec<(usize, Vec<Tensor>)>,
}

/// What one evaluation's rows were, for the tail to learn later: a_i by exit and L_N.
struct Passed {
    lambda: Vec<f64>,
    states: Vec<Tensor>,
    end: Tensor,
}

impl Trajectories {
    /// Follows the trajectories of a request, and gives their images too.
    ///
    /// The sampler must be at full depth. `go_on` is asked after every evaluation of every image, and after every batch
    /// that has been walked; `None` once it said no.
    ///
    /// # Errors
    /// What [`Sampler::run`] refuses, and whatever libtorch does.
    pub fn follow(
        sampler: &Sampler,
        request: &Request,
        look: &Look,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<(Self, Vec<Sample>)>, Error> {
        let nodes: Vec<Node> = sampler.evaluations(request)?.iter().map(|e| e.node).collect();
        // x of every evaluation and image, in any order.
        let mut seen: Vec<Vec<(usize, Tensor)>> = nodes.iter().map(|_| vec![]).collect();
        let outcome = sampler.sample(request, &mut |event: &Event| {
            if let Event::Evaluated(e) = event {
                seen[e.evaluation].push((e.image, e.x.shallow_clone()));
            }
            if go_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if outcome.cancelled {
            return Ok(None);
        }
        seen.iter_mut().for_each(|of_time| of_time.sort_by_key(|(image, _)| *image));
        let model = sampler.model();
        let depth = model.backbone.depth();
        let points: Vec<usize> =
            model.backbone.exit_points().iter().map(|p| p.depth).filter(|&d| d < depth).collect();
        let ages = if look.tail.remembers() { look.ages.max(1) } else { 1 };
        let layout = sampler.layout(request.len());
        let jobs = request.len().div_ceil(layout.batch);
        let mut walkers: Vec<Walker> = (0..layout.workers.min(jobs))
            .map(|_| Walker {
                model: model.share(),
                tail: look.tail.share(),
                guidance: look.guidance,
                nodes: &nodes,
                points: &points,
                ages,
                batches: vec![],
            })
            .collect();
        let workers = walkers.len();
        for job in 0..jobs {
            let images = layout.images(job, request.len());
            let at = |of_time: &Vec<(usize, Tensor)>| {
                Tensor::f_stack(&of_time[images.clone()].iter().map(|(_, x)| x).collect::<Vec<_>>(), 0)
            };
            let xs = seen.iter().map(at).collect::<Result<_, TchError>>()?;
            walkers[job % workers].batches.push((images.start, xs));
        }
        drop(seen);
        let mut errors = Array4::from_elem((nodes.len(), points.len(), ages, request.len()), f64::INFINITY);
        let classes = &request.classes;
        let walk = |walker: &Walker, job: usize| {
            let (first, xs) = &walker.batches[job / workers];
            let of_batch = &classes[*first..first + xs[0].size()[0] as usize];
            Ok((*first, walker.walk(xs, of_batch)?))
        };
        let walked = in_order(walkers, jobs, &walk, &mut |job, (first, of_batch)| {
            let images = of_batch.dim().3;
            errors.slice_mut(s![.., .., .., first..first + images]).assign(&of_batch);
            match go_on() || job + 1 == jobs {
                true => Ok(()),
                false => Err(EvaluateError::Stopped { done: first + images, count: request.len() }),
            }
        });
        match walked {
            Err(EvaluateError::Stopped { .. }) => Ok(None),
            Err(error) => Err(error.into()),
            Ok(()) => {
                let times = nodes.iter().map(|n| n.t).collect();
                Ok(Some((Self { times, points, errors }, outcome.samples)))
            }
        }
    }
}

impl Walker<'_> {
    /// The errors of one batch, `[S, P, A, B]`; `xs` is its x `[B, C, H, W]` at each evaluation.
    fn walk(&self, xs: &[Tensor], classes: &[Option<i64>]) -> Result<Array4<f64>, TchError> {
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
    fn taught(&self, passed: &VecDeque<Passed>, age: usize, rows: usize) -> Result<Vec<RowMemory>, TchError> {
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
    ) -> Result<(Tensor, Tensor, usize), TchError> {
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
    fn join(&self, output: &Tensor, images: usize, guided: bool, channels: i64) -> Result<Tensor, TchError> {
        let output = output.f_narrow(1, 0, channels)?.f_to_kind(Kind::Double)?;
        if !guided {
            return Ok(output);
        }
        // `combine` looks for the unconditional row behind the conditional one.
        let order: Vec<i64> = (0..images as i64).flat_map(|k| [k, images as i64 + k]).collect();
        let order = Tensor::f_from_slice(&order)?.f_to(self.model.device)?;
        let first: Vec<usize> = (0..images).map(|k| 2 * k).collect();
        let pairs = output.f_index_select(0, &order)?;
        self.guidance.combine(&pairs, &first, &vec![true; images], channels)
    }
}
