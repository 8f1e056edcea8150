//! The loop that every training of a backbone or of its exits goes through.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};
use tch::Tensor;

use super::divergence::Watch;
use super::examples::{Drawing, Examples};
use super::learner::Learner;
use super::memory::keep_freed_memory;
use super::objective::{Losses, Objective};
use super::samples::write_samples;
use super::workers::in_threads;
use super::{Recipe, RunFolder, TrainError, TrainState, epoch_order};
use crate::backbone::Parameters;
use crate::data::TrainingSet;
use crate::engine::ThreadSetting;

/// How often a run writes things down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Steps between lines of metrics.
    pub log_every: usize,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
    /// Steps between sample sheets; 0 is none.
    pub samples_every: usize,
}

/// What a step was like.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainStep {
    /// Steps made, this one included.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Its loss, before the weights changed.
    pub loss: f64,
    /// What the loss is made of, by name.
    pub parts: Vec<(String, f64)>,
    /// Norm of its gradients before clipping.
    pub gradient_norm: f64,
    /// The learning rate.
    pub rate: f64,
    /// Images a second, over this session.
    pub images_per_second: f64,
}

/// Where a run lives, and how it is taken up; the result does not depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its folder.
    pub folder: &'a Path,
    /// Whether a run that is there is continued.
    pub resume: bool,
    /// CPU threads; more than there are workers are of no use.
    pub threads: usize,
}

/// A run, new or resumed.
pub struct TrainRun {
    recipe: Recipe,
    objective: Box<dyn Objective>,
    learner: Learner,
    data: TrainingSet,
    folder: RunFolder,
    state: TrainState,
    threads: usize,
}

impl TrainRun {
    /// Opens the folder of a run with these settings, and its checkpoint where there is one.
    pub(super) fn open(
        recipe: Recipe,
        objective: Box<dyn Objective>,
        learned: &Parameters,
        data: TrainingSet,
        settings: &Map<String, Value>,
        place: Place,
    ) -> Result<Self, TrainError> {
        let Place { folder, resume, threads } = place;
        recipe.check(data.labels.len(), objective.network().config.null_class)?;
        if threads == 0 {
            let reason = "at least one must work";
            return Err(TrainError::Setting { setting: "threads", got: "0".into(), reason });
        }
        let folder = RunFolder::open(folder, settings, resume)?;
        let threads = threads.min(recipe.shards);
        let learner =
            Learner::new(learned, recipe.rules(), &|name| objective.network().haste(name), threads)?;
        let state = TrainState { step: 0, seconds: 0.0 };
        let mut run = Self { recipe, objective, learner, data, folder, state, threads };
        if run.folder.checkpoint().exists() {
            run.state = TrainState::read(&run.folder.checkpoint(), &run.learner.remembered())?;
            run.learner.set_steps(run.state.step);
        }
        run.folder.forget_behind(run.state.step)?;
        Ok(run)
    }

    /// Steps made so far.
    pub fn step(&self) -> usize {
        self.state.step
    }

    /// Steps in all.
    pub fn steps(&self) -> usize {
        self.recipe.steps
    }

    /// Its folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Seconds of training, over all sessions.
    pub fn seconds(&self) -> f64 {
        self.state.seconds
    }

    /// Makes the steps that are left. `observe` sees each; where it breaks, the run stops behind a checkpoint
    /// and `false` is returned.
    ///
    /// # Errors
    /// Training diverged: the last checkpoint is from before. A file cannot be written: the checkpoint before
    /// stays. libtorch fails.
    pub fn train(
        &mut self,
        pace: Pace,
        observe: &mut dyn FnMut(&TrainStep) -> ControlFlow<()>,
    ) -> Result<bool, TrainError> {
        let _one_thread_a_shard = ThreadSetting::set(1);
        keep_freed_memory();
        let (start, before) = (Instant::now(), self.state);
        let per_epoch = self.data.labels.len() / self.recipe.batch;
        let mut watch = Watch::default();
        let mut order = (usize::MAX, vec![]);
        let steps = self.recipe.steps;
        while self.state.step < steps {
            let (epoch, within) = (self.state.step / per_epoch, self.state.step % per_epoch);
            if order.0 != epoch {
                order = (epoch, epoch_order(self.recipe.seed, epoch, self.data.labels.len()));
            }
            let batch = &order.1[within * self.recipe.batch..][..self.recipe.batch];
            let mut report = self.make_step(batch, &mut watch)?;
            self.state.step += 1;
            self.state.seconds = before.seconds + start.elapsed().as_secs_f64();
            let step = self.state.step;
            let seconds = self.state.seconds - before.seconds;
            report.images_per_second = ((step - before.step) * self.recipe.batch) as f64 / seconds;
            let last = step == steps;
            if last || step.is_multiple_of(pace.log_every.max(1)) {
                self.log(&report, epoch)?;
            }
            let flow = observe(&report);
            if last || flow.is_break() || step.is_multiple_of(pace.checkpoint_every.max(1)) {
                self.state.write(&self.folder.checkpoint(), &self.learner.remembered())?;
                self.folder.plot()?;
            }
            if pace.samples_every > 0 && (last || step.is_multiple_of(pace.samples_every)) {
                let sampler = self.objective.sampler(&self.learner.averages())?;
                write_samples(&self.folder, step, sampler, self.threads)?;
            }
            if flow.is_break() {
                return Ok(last);
            }
        }
        Ok(true)
    }

    /// Writes the averaged weights into `weights/` of the folder.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write_weights(&self) -> Result<(), TrainError> {
        self.objective.network().write(&self.learner.averages(), &self.folder.weights())
    }

    fn log(&self, report: &TrainStep, epoch: usize) -> Result<(), TrainError> {
        let per_epoch = self.data.labels.len() / self.recipe.batch;
        let mut line = json!({
            "step": report.step,
            "epoch": epoch as f64 + (report.step - epoch * per_epoch) as f64 / per_epoch as f64,
            "loss": report.loss, "gradient_norm": report.gradient_norm, "learning_rate": report.rate,
            "images_per_second": report.images_per_second, "seconds": self.state.seconds,
        });
        for (name, value) in &report.parts {
            line[format!("loss.{name}")] = json!(value);
        }
        self.folder.log(&line)
    }

    /// One step on these images of the training set.
    fn make_step(&mut self, batch: &[usize], watch: &mut Watch) -> Result<TrainStep, TrainError> {
        let (recipe, step) = (&self.recipe, self.state.step);
        let drawing = Drawing::of(recipe, self.objective.network());
        let own = || -> Result<_, TrainError> {
            let leaf = |value: &Tensor| Ok(value.f_detach()?.f_set_requires_grad(true)?);
            let leaves = self.learner.values().iter().map(leaf).collect::<Result<Vec<_>, TrainError>>()?;
            Ok((self.objective.share(), leaves))
        };
        let inputs = (0..recipe.shards).map(|_| own()).collect::<Result<Vec<_>, _>>()?;
        let (names, data) = (self.learner.names(), &self.data);
        let parts = in_threads(self.threads, inputs, &|shard, (objective, leaves)| {
            let examples = drawing.shard(data, batch, step, [shard, recipe.shards])?;
            shard_gradient(&*objective, names, &leaves, &examples, recipe.micro_batch)
        })?;
        let share = 1.0 / parts.len() as f64;
        let loss = parts.iter().map(|p| p.loss * share).sum();
        let figures = mean_figures(&parts, share);
        let gradients = mean_gradients(parts.into_iter().map(|p| p.gradients), share)?;
        let rate = recipe.rates().rate(step);
        // A batch whose loss is not finite must leave no trace in the weights.
        let norm = match f64::is_finite(loss) {
            true => self.learner.step(gradients, rate, step)?,
            false => f64::NAN,
        };
        watch.look(step + 1, loss, norm)?;
        let (step, steps) = (step + 1, recipe.steps);
        Ok(TrainStep { step, steps, loss, parts: figures, gradient_norm: norm, rate, images_per_second: 0.0 })
    }
}

/// What a shard gives.
pub(super) struct ShardGradient {
    pub loss: f64,
    pub parts: Vec<(String, f64)>,
    /// One a learned tensor.
    pub gradients: Vec<Tensor>,
}

/// The mean loss of a shard and its gradients by `leaves`, whose names are `names`.
pub(super) fn shard_gradient(
    objective: &dyn Objective,
    names: &[String],
    leaves: &[Tensor],
    examples: &Examples,
    micro_batch: usize,
) -> Result<ShardGradient, TrainError> {
    let learned: Parameters = names.iter().cloned().zip(leaves.iter().map(Tensor::shallow_clone)).collect();
    let mut sum: Option<ShardGradient> = None;
    for from in (0..examples.len()).step_by(micro_batch) {
        let count = micro_batch.min(examples.len() - from);
        let share = count as f64 / examples.len() as f64;
        let Losses { total, parts } = objective.losses(&learned, &examples.narrow(from, count)?)?;
        let total = total.f_mul_scalar(share)?;
        let gradients = Tensor::f_run_backward(&[&total], leaves, false, false)?;
        let loss = f64::try_from(&total)?;
        let figures = parts.into_iter().map(|(name, value)| Ok((name, share * f64::try_from(value)?)));
        let figures = figures.collect::<Result<Vec<_>, tch::TchError>>()?;
        let Some(sum) = &mut sum else {
            sum = Some(ShardGradient { loss, parts: figures, gradients });
            continue;
        };
        let _no_grad = tch::no_grad_guard();
        sum.loss += loss;
        for ((_, sum), (_, value)) in sum.parts.iter_mut().zip(figures) {
            *sum += value;
        }
        for (sum, gradient) in sum.gradients.iter_mut().zip(gradients) {
            add(sum, gradient)?;
        }
    }
    let mut sum = sum.ok_or(TrainError::Setting {
        setting: "batch",
        got: "0".into(),
        reason: "a worker has nothing to do",
    })?;
    // What no example depended on has no gradient.
    for (gradient, leaf) in sum.gradients.iter_mut().zip(leaves) {
        if !gradient.defined() {
            *gradient = leaf.f_detach()?.f_zeros_like()?;
        }
    }
    Ok(sum)
}

/// Adds where either may be undefined, which stands for zero.
fn add(sum: &mut Tensor, gradient: Tensor) -> Result<(), tch::TchError> {
    match (sum.defined(), gradient.defined()) {
        (_, false) => {}
        (false, true) => *sum = gradient,
        (true, true) => {
            let _ = sum.f_add_(&gradient)?;
        }
    }
    Ok(())
}

fn mean_figures(parts: &[ShardGradient], share: f64) -> Vec<(String, f64)> {
    let names = parts.first().map_or(&[][..], |p| &p.parts);
    let mean = |i: usize| parts.iter().map(|p| p.parts[i].1 * share).sum();
    names.iter().enumerate().map(|(i, (name, _))| (name.clone(), mean(i))).collect()
}

fn mean_gradients(
    mut parts: impl Iterator<Item = Vec<Tensor>>,
    share: f64,
) -> Result<Vec<Tensor>, TrainError> {
    let _no_grad = tch::no_grad_guard();
    let mut sum = parts.next().unwrap_or_default();
    for part in parts {
        for (sum, gradient) in sum.iter_mut().zip(part) {
            add(sum, gradient)?;
        }
    }
    if share != 1.0 {
        for gradient in &mut sum {
            let _ = gradient.f_mul_scalar_(share)?;
        }
    }
    Ok(sum)
}
