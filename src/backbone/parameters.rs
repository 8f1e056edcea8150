//! A network as a set of named tensors: what a trainer holds, changes, and makes a network of at every step.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, TchError, Tensor};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::config::{Config, Family, Layout};
use super::dit::Dit;
use super::dit_keys;
use super::{Backbone, Model};

/// A network's tensors by the keys of its family's own layout (Meta's for a DiT).
pub type Parameters = BTreeMap<String, Tensor>;

/// Reads a weights file as f32 tensors on the CPU, with the file's SHA-256.
///
/// # Errors
/// The file is not what `config` calls for.
pub fn read_parameters(
    checkpoint: &Checkpoint,
    config: &Config,
) -> Result<(Parameters, String), CheckpointError> {
    match config.family {
        Family::Dit => {
            let tensors = dit_keys::read(checkpoint, config)?;
            Ok((tensors.by_key, tensors.sha256))
        }
    }
}

/// Makes the network of these tensors, without a copy where they are on `device` in `dtype` already. The
/// network's output can be differentiated by those of them that ask for gradients, whatever the dtype.
///
/// # Errors
/// A tensor is missing.
pub fn assemble(
    parameters: &Parameters,
    config: &Config,
    device: Device,
    dtype: Kind,
) -> Result<Box<dyn Backbone>, TchError> {
    let tensors = parameters.iter().map(|(key, tensor)| (key.clone(), tensor.shallow_clone())).collect();
    match config.family {
        Family::Dit => Ok(Box::new(Dit::assemble(tensors, config, device, dtype)?)),
    }
}

/// Whether a tensor is learned: DiT's position table is a constant.
pub fn is_learned(key: &str) -> bool {
    key != "pos_embed"
}

/// Whether a tensor belongs to the embedder of time, which fine-tuning for exits may leave alone.
pub fn embeds_time(key: &str) -> bool {
    key.starts_with("t_embedder.")
}

/// A network that has learned nothing, in the way of DiT: linear layers by Glorot's uniform law, embedders by
/// a normal one of deviation 0.02, every modulation and the output zero (adaLN-Zero), so that each block
/// starts as the identity. What is drawn follows from `seed` alone.
///
/// # Errors
/// libtorch has no memory left.
pub fn init_parameters(config: &Config, seed: u64) -> Result<Parameters, TchError> {
    let Family::Dit = config.family;
    let config = Config { layout: Layout::Meta, ..config.clone() };
    let mut parameters = Parameters::new();
    for (stream, (key, shape)) in dit_keys::meta_shapes(&config).into_iter().enumerate() {
        let numel: usize = shape.iter().product();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream as u64);
        let zero =
            key.ends_with("bias") || key.contains("adaLN_modulation") || key == "final_layer.linear.weight";
        let values: Vec<f32> = match &*key {
            "pos_embed" => {
                parameters.insert(key, dit_keys::position_table(&config)?);
                continue;
            }
            _ if zero => vec![0.0; numel],
            _ if key.contains("embedder") && !key.starts_with("x_embedder") => {
                let normal = |rng: &mut ChaCha8Rng| -> f32 { StandardNormal.sample(rng) };
                (0..numel).map(|_| 0.02 * normal(&mut rng)).collect()
            }
            _ => {
                let (rows, columns) = (shape[0], numel / shape[0]);
                let bound = (6.0 / (rows + columns) as f64).sqrt() as f32;
                (0..numel).map(|_| rng.random_range(-bound..=bound)).collect()
            }
        };
        let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        parameters.insert(key, Tensor::f_from_slice(&values)?.f_view(&*shape)?);
    }
    Ok(parameters)
}

impl Model {
    /// A model of tensors that are in no file yet, on the CPU in f32; its hash is empty.
    ///
    /// # Errors
    /// The tensors are not those of `config`, or its betas are refused.
    pub fn of_parameters(
        name: &str,
        parameters: &Parameters,
        config: &Config,
    ) -> Result<Self, super::ModelError> {
        let d = &config.diffusion;
        let diffusion =
            crate::solver::Diffusion::new(d.beta_schedule, d.timesteps, d.beta_start, d.beta_end)?;
        let backbone =
            assemble(parameters, config, Device::Cpu, Kind::Float).map_err(CheckpointError::Torch)?;
        Ok(Self {
            name: name.to_owned(),
            folder: std::path::PathBuf::new(),
            config: config.clone(),
            sha256: String::new(),
            diffusion,
            backbone,
            exits: None,
            device: Device::Cpu,
            dtype: Kind::Float,
        })
    }
}
