//! The recipe of `fashion-features`: a classifier of Fashion-MNIST, trained on the CPU in minutes.

mod card;
mod images;
mod recipe;
mod shards;

pub use recipe::FeaturesRecipe;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tch::Tensor;

use self::card::Card;
use self::images::GreyImages;
use self::shards::Shards;
use super::{
    AdamW, RunFolder, TrainError, TrainState, WarmupCosine, average_into, clip_gradients, epoch_order,
};
use crate::data::FashionMnist;
use crate::digest::hex;
use crate::engine::ThreadSetting;
use crate::extract::FashionNet;
use crate::output::OutputError;

/// Metrics are written every so many steps.
const LOG_EVERY: usize = 10;
/// What a step was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Steps made, this one included.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Its loss, before the weights changed.
    pub loss: f64,
    /// Share of the test images that the averaged weights name rightly; at the end of an epoch.
    pub test_accuracy: Option<f64>,
}

/// What a finished run has made.
#[derive(Debug, Clone, PartialEq)]
pub struct FeaturesOutcome {
    /// Share of the test images that the weights, as they are in the file, name rightly.
    pub test_accuracy: f64,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Seconds of training, over all sessions.
    pub seconds: f64,
}

/// A run, new or resumed.
pub struct FeaturesRun {
    recipe: FeaturesRecipe,
    folder: RunFolder,
    train: GreyImages,
    test: GreyImages,
    net: FashionNet,
    average: FashionNet,
    optimizer: Optimizer,
    shards: Shards,
    threads: usize,
    state: TrainState,
}

/// AdamW for what decays and for what does not.
struct Optimizer {
    decaying: AdamW,
    others: AdamW,
}

impl FeaturesRun {
    /// Reads the data and makes or opens the run folder. With `resume`, a run that is there is continued
    /// behind its last checkpoint, and one that is not is begun. `threads` shorten the run and change
    /// nothing else.
    ///
    /// # Errors
    /// The data are refused, the recipe cannot be, or the folder has another run.
    pub fn open(
        recipe: FeaturesRecipe,
        data: &FashionMnist,
        folder: &Path,
        resume: bool,
        threads: usize,
    ) -> Result<Self, TrainError> {
        let train = GreyImages::new(&data.train()?)?;
        let test = GreyImages::new(&data.test()?)?;
        recipe.check(train.labels.len())?;
        let train = train.first(recipe.images);
        let folder = RunFolder::open(folder, &settings(&recipe, &train), resume)?;
        let net = FashionNet::init(recipe.seed)?;
        let average = FashionNet::init(recipe.seed)?;
        let (decaying, others) = split(tensors(net.parameters()));
        let optimizer = Optimizer {
            decaying: AdamW::new(&decaying, recipe.betas, recipe.weight_decay)?,
            others: AdamW::new(&others, recipe.betas, 0.0)?,
        };
        let shards = Shards::new(recipe.shards, threads)?;
        let state = TrainState { step: 0, seconds: 0.0 };
        let mut run = Self { recipe, folder, train, test, net, average, optimizer, shards, threads, state };
        if run.folder.checkpoint().exists() {
            run.state = TrainState::read(&run.folder.checkpoint(), &run.remembered())?;
            run.optimizer.decaying.set_steps(run.state.step);
            run.optimizer.others.set_steps(run.state.step);
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
        self.recipe.steps()
    }

    /// Makes the steps that are left, with a checkpoint after every `checkpoint_every` and at the end.
    /// `observe` sees each step; where it breaks, the run stops behind a checkpoint and `false` is returned.
    ///
    /// # Errors
    /// A file cannot be written; the loss is not finite; libtorch fails.
    pub fn train(
        &mut self,
        checkpoint_every: usize,
        observe: &mut dyn FnMut(&StepReport) -> ControlFlow<()>,
    ) -> Result<bool, TrainError> {
        let _one_thread_a_shard = ThreadSetting::set(1);
        let (start, before) = (Instant::now(), self.state.seconds);
        let per_epoch = self.recipe.steps_per_epoch();
        let mut order = vec![];
        while self.state.step < self.steps() {
            let (epoch, within) = (self.state.step / per_epoch, self.state.step % per_epoch);
            if order.is_empty() || within == 0 {
                order = epoch_order(self.recipe.seed, epoch, self.train.labels.len());
            }
            let batch = &order[within * self.recipe.batch..][..self.recipe.batch];
            let (loss, norm, rate) = self.make_step(epoch, batch)?;
            self.state.step += 1;
            self.state.seconds = before + start.elapsed().as_secs_f64();
            let step = self.state.step;
            let ended = step.is_multiple_of(per_epoch);
            let test_accuracy = if ended { Some(self.accuracy(None)?) } else { None };
            if ended || step.is_multiple_of(LOG_EVERY) {
                self.folder.log(&json!({
                    "step": step, "epoch": step as f64 / per_epoch as f64, "loss": loss,
                    "gradient_norm": norm, "learning_rate": rate, "test_accuracy": test_accuracy,
                    "seconds": self.state.seconds,
                }))?;
            }
            let flow = observe(&StepReport { step, steps: self.steps(), loss, test_accuracy });
            if flow.is_break() || step.is_multiple_of(checkpoint_every.max(1)) || step == self.steps() {
                self.state.seconds = before + start.elapsed().as_secs_f64();
                self.state.write(&self.folder.checkpoint(), &self.remembered())?;
            }
            if flow.is_break() {
                return Ok(step == self.steps());
            }
        }
        Ok(true)
    }

    /// Writes the averaged weights and the model card, whose figures are measured on the file as written.
    /// `command` is how the run was asked for.
    ///
    /// # Errors
    /// A file cannot be written or read back; libtorch fails.
    pub fn finish(mut self, command: &str) -> Result<FeaturesOutcome, TrainError> {
        let _one_thread_a_shard = ThreadSetting::set(1);
        let model = self.folder.model();
        self.average.write(&model)?;
        let (net, sha256) = FashionNet::open(&model)?;
        let io = |source| OutputError::Io { file: model.clone(), source };
        let bytes = std::fs::metadata(&model).map_err(io)?.len();
        let parameters = self.net.parameters().iter().map(|(_, p)| p.numel()).sum();
        let test_accuracy = self.accuracy(Some(&net))?;
        let outcome = FeaturesOutcome { test_accuracy, sha256, bytes, seconds: self.state.seconds };
        let card = Card {
            recipe: &self.recipe,
            outcome: &outcome,
            parameters,
            threads: self.threads.min(self.recipe.shards),
            command,
        };
        self.folder.write(&self.folder.path().join("README.md"), &card.text())?;
        Ok(outcome)
    }

    /// One step on these training images; gives the loss, the gradient's norm, and the learning rate.
    fn make_step(&mut self, epoch: usize, batch: &[usize]) -> Result<(f64, f64, f64), TrainError> {
        let recipe = &self.recipe;
        let (train, per_shard) = (&self.train, batch.len() / recipe.shards);
        let shard = |s: usize| train.augmented(&batch[s * per_shard..][..per_shard], recipe, epoch);
        let (loss, mut gradients) = self.shards.gradient(&self.net, recipe.label_smoothing, &shard)?;
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step: self.state.step + 1, loss });
        }
        let norm = clip_gradients(&mut gradients, recipe.max_gradient)?;
        let schedule = WarmupCosine {
            peak: recipe.peak_rate,
            floor: 0.0,
            warm_up: (recipe.warm_up * recipe.steps() as f64).round() as usize,
            steps: recipe.steps(),
        };
        let rate = schedule.rate(self.state.step);
        let (decaying, others) = split(tensors(self.net.parameters()));
        let (of_decaying, of_others) = split(gradients);
        self.optimizer.decaying.step(&decaying, &of_decaying, rate)?;
        self.optimizer.others.step(&others, &of_others, rate)?;
        let (average, current) = (tensors(self.average.named()), tensors(self.net.named()));
        average_into(&average, &current, recipe.average, self.state.step)?;
        Ok((loss, norm, rate))
    }

    /// Share of the test images that the averaged weights, or another network's, name rightly.
    fn accuracy(&mut self, of: Option<&FashionNet>) -> Result<f64, TrainError> {
        let (test, shards) = (&self.test, self.recipe.shards);
        let part = |s: usize| test.shard(s, shards);
        let correct = self.shards.correct(of.unwrap_or(&self.average), &part)?;
        Ok(correct as f64 / test.labels.len() as f64)
    }

    /// All tensors that the next step depends on, by name.
    fn remembered(&self) -> Vec<(String, Tensor)> {
        let mut all = vec![];
        let mut add = |part: &str, tensors: Vec<(String, Tensor)>| {
            all.extend(tensors.into_iter().map(|(name, tensor)| (format!("{part}.{name}"), tensor)));
        };
        add("net", self.net.named());
        add("average", self.average.named());
        for (part, optimizer) in [("decaying", &self.optimizer.decaying), ("others", &self.optimizer.others)]
        {
            let ([means, squares], _) = optimizer.moments();
            let numbered = |tensors: &[Tensor]| {
                tensors.iter().enumerate().map(|(i, t)| (i.to_string(), t.shallow_clone())).collect()
            };
            add(&format!("mean.{part}"), numbered(means));
            add(&format!("square.{part}"), numbered(squares));
        }
        all
    }
}

fn tensors(named: Vec<(String, Tensor)>) -> Vec<Tensor> {
    named.into_iter().map(|(_, tensor)| tensor).collect()
}

/// Kernels and matrices, then biases and norms.
fn split(tensors: Vec<Tensor>) -> (Vec<Tensor>, Vec<Tensor>) {
    tensors.into_iter().partition(|tensor| tensor.dim() > 1)
}

/// What `config.json` says: what it is, on what data, by which recipe.
fn settings(recipe: &FeaturesRecipe, train: &GreyImages) -> Map<String, Value> {
    let mut hash = Sha256::new();
    hash.update(&train.pixels);
    hash.update(train.labels.iter().flat_map(|l| l.to_le_bytes()).collect::<Vec<u8>>());
    Map::from_iter([
        ("model".to_owned(), json!("fashion-features")),
        ("data".to_owned(), json!({ "name": "fashion-mnist", "sha256": hex(&hash.finalize()) })),
        ("recipe".to_owned(), json!(recipe)),
    ])
}
