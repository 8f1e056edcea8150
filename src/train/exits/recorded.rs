//! Gates that learn from a table recorded once (ECO-M2F's recipe, Yao et al. 2024): backbone and heads stay as they are,
//! and gates for another price are trained again in seconds.

use std::collections::HashMap;
use std::path::Path;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tch::{Kind, Tensor};

use super::error_table::{ErrorTable, gate_loss};
use super::gate::judge;
use crate::backbone::{Checkpoint, Parameters};
use crate::data::TrainingSet;
use crate::engine::ThreadSetting;
use crate::output::write_tensors;
use crate::train::examples::{Drawing, Examples};
use crate::train::network::{Network, share};
use crate::train::objective::{Losses, Objective};
use crate::train::workers::in_threads;
use crate::train::{Recipe, TrainError, epoch_order};

/// What gates learn from.
#[derive(Debug)]
pub(super) struct Recording {
    /// Errors and costs by image and exit.
    pub table: ErrorTable,
    /// What gates see, f32 `[M, P, 2D]`.
    pub features: Tensor,
}

impl Recording {
    /// The recording in `file`, if it is of so many images and these exits.
    fn read(file: &Path, images: usize, costs: &[f64], width: usize) -> Result<Self, TrainError> {
        let checkpoint = Checkpoint::open(file)?;
        let exits = costs.len();
        let expected = [
            ("errors".to_owned(), vec![images, exits]),
            ("features".to_owned(), vec![images, exits - 1, 2 * width]),
        ];
        checkpoint.expect(&expected.into(), "the run's settings")?;
        let (mut tensors, _) = checkpoint.read()?;
        let mut take = |name: &str| {
            let missing = || TrainError::Damaged { file: file.to_owned(), reason: format!("no {name}") };
            tensors.remove(name).ok_or_else(missing)
        };
        let table = ErrorTable { errors: take("errors")?, costs: costs.to_vec() };
        Ok(Self { table, features: take("features")? })
    }

    fn write(&self, file: &Path) -> Result<(), TrainError> {
        let named = [
            ("errors".to_owned(), self.table.errors.shallow_clone()),
            ("features".to_owned(), self.features.shallow_clone()),
        ];
        Ok(write_tensors(file, Kind::Float, &named, HashMap::new())?)
    }

    /// Reads the recording of a run, or makes it: the first images of the first epoch's order, each at one time.
    pub fn of(
        file: &Path,
        network: &Network,
        learned: &Parameters,
        recipe: &Recipe,
        images: usize,
        data: &TrainingSet,
        threads: usize,
    ) -> Result<Self, TrainError> {
        let (backbone, exits) = network.with_exits(learned, Kind::Float)?;
        let points = &exits.config().points;
        let costs: Vec<f64> = points.iter().map(|&p| backbone.cost(p)).chain([1.0]).collect();
        if file.exists() {
            return Self::read(file, images, &costs, exits.config().width);
        }
        let _one_thread_each = ThreadSetting::set(1);
        let order = epoch_order(recipe.seed, 0, data.len());
        let drawing = Drawing::of(recipe, network);
        let batches: Vec<_> =
            (0..images.div_ceil(recipe.batch)).map(|b| (network.share(), share(learned), b)).collect();
        let parts = in_threads(threads, batches, &|_, (network, learned, batch)| {
            let from = batch * recipe.batch;
            let of_batch = &order[from..images.min(from + recipe.batch)];
            let examples = drawing.shard(data, of_batch, batch, [0, 1])?;
            let (backbone, exits) = network.with_exits(&learned, Kind::Float)?;
            let mut parts = vec![];
            for from in (0..examples.len()).step_by(recipe.micro_batch) {
                let part = examples.narrow(from, recipe.micro_batch.min(examples.len() - from))?;
                let weights = part.weights(recipe.weighting, &network.diffusion)?;
                let judged = tch::no_grad(|| judge(&*backbone, &exits, &part, weights))?;
                parts.push((judged.table.errors, judged.features));
            }
            Ok(parts)
        })?;
        let (errors, features): (Vec<Tensor>, Vec<Tensor>) = parts.into_iter().flatten().unzip();
        let table = ErrorTable { errors: Tensor::f_cat(&errors, 0)?, costs };
        let recording = Self { table, features: Tensor::f_cat(&features, 0)? };
        recording.write(file)?;
        Ok(recording)
    }
}

/// Gates over a recording.
pub(super) struct RecordedGates {
    pub network: Network,
    pub recording: Recording,
    pub price: f64,
    pub seed: u64,
}

impl Objective for RecordedGates {
    fn losses(&self, learned: &Parameters, examples: &Examples) -> Result<Losses, TrainError> {
        let (_, exits) = self.network.with_exits(learned, Kind::Float)?;
        // As many rows as there are examples, which are left alone: rows by step and time, which differ by part.
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let part = examples.times.iter().fold(0u64, |h, t| h.wrapping_mul(1_000_003) ^ t.to_bits());
        rng.set_stream((1 << 61) | (examples.step as u64) << 32 | (part & 0xffff_ffff));
        let images = self.recording.table.errors.size()[0];
        let rows: Vec<i64> = (0..examples.len()).map(|_| rng.random_range(0..images)).collect();
        let rows = Tensor::f_from_slice(&rows)?;
        let table = ErrorTable {
            errors: self.recording.table.errors.f_index_select(0, &rows)?,
            costs: self.recording.table.costs.clone(),
        };
        let features = self.recording.features.f_index_select(0, &rows)?; // [b, P, 2D]
        let mut logits = vec![];
        for (i, &depth) in exits.config().points.iter().enumerate() {
            if let Some(gate) = exits.gate(depth) {
                logits.push(gate.of_features(&features.f_select(1, i as i64)?)?);
            }
        }
        let total = gate_loss(&Tensor::f_stack(&logits, 1)?, &table.labels(self.price)?)?;
        let target = table.targets(self.price)?.f_to_kind(Kind::Float)?.f_mean(Kind::Float)?;
        Ok(Losses { total, parts: vec![("target_exit".into(), target)] })
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn share(&self) -> Box<dyn Objective> {
        let table = ErrorTable {
            errors: self.recording.table.errors.shallow_clone(),
            costs: self.recording.table.costs.clone(),
        };
        let features = self.recording.features.shallow_clone();
        Box::new(Self { network: self.network.share(), recording: Recording { table, features }, ..*self })
    }
}
