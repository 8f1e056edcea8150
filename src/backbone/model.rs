//! A weights folder, opened: `config.json`, `model.safetensors` and, where they are, the learned exits beside them.

use std::path::{Path, PathBuf};

use tch::{Cuda, Device, Kind};

use super::Backbone;
use super::checkpoint::{Checkpoint, CheckpointError};
use super::config::{Config, ConfigError, Family};
use super::dit::Dit;
use crate::learned::{LearnedError, LearnedExits};
use crate::solver::{Diffusion, SolverError};

/// A network with all that its weights folder says of it.
pub struct Model {
    /// The folder's name: what schedules for these weights are filed under.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// Its `config.json`.
    pub config: Config,
    /// SHA-256 of `model.safetensors`, hex.
    pub sha256: String,
    /// The betas it was trained on.
    pub diffusion: Diffusion,
    /// The network.
    pub backbone: Box<dyn Backbone>,
    /// Its `exits.safetensors`, on the network's device and in its dtype.
    pub exits: Option<LearnedExits>,
    /// Where the network's tensors are.
    pub device: Device,
    /// The dtype of its weights and forward pass.
    pub dtype: Kind,
}

/// Why a weights folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// There is no such folder.
    #[error("no weights at {}: a weights folder holds config.json and model.safetensors", folder.display())]
    NotFound {
        /// The folder asked for.
        folder: PathBuf,
    },
    /// Its `config.json` is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its `model.safetensors` is refused.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its `exits.safetensors` is refused.
    #[error(transparent)]
    Exits(#[from] LearnedError),
    /// Its betas are refused.
    #[error("diffusion: {0}")]
    Diffusion(#[from] SolverError),
    /// A dtype that networks are not run in.
    #[error("dtype {got:?}: networks run in Float (f32) or BFloat16")]
    Dtype {
        /// The dtype asked for.
        got: Kind,
    },
    /// The device is not there.
    #[error("device {device:?} is not there: {reason}")]
    Device {
        /// The device asked for.
        device: Device,
        /// What libtorch says.
        reason: String,
    },
}

impl Model {
    /// Opens a weights folder in f32 on the CPU.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::open_on(folder, Device::Cpu, Kind::Float)
    }

    /// Opens a weights folder on a device, in a dtype (`Kind::Float` or `Kind::BFloat16`).
    pub fn open_on(folder: impl AsRef<Path>, device: Device, dtype: Kind) -> Result<Self, ModelError> {
        let folder = folder.as_ref();
        if !folder.is_dir() {
            return Err(ModelError::NotFound { folder: folder.to_owned() });
        }
        check_device(device)?;
        if !matches!(dtype, Kind::Float | Kind::BFloat16) {
            return Err(ModelError::Dtype { got: dtype });
        }
        let config = Config::read(&folder.join("config.json"))?;
        let d = &config.diffusion;
        let diffusion = Diffusion::new(d.beta_schedule, d.timesteps, d.beta_start, d.beta_end)?;
        let checkpoint = Checkpoint::open(&folder.join("model.safetensors"))?;
        let (backbone, sha256) = match config.family {
            Family::Dit => Dit::read(&checkpoint, &config, device, dtype)?,
        };
        let exits = LearnedExits::beside(folder, &config, &sha256)?;
        let exits = exits.map(|exits| exits.to(device, dtype)).transpose()?;
        // "weights/x/.." and "." have no name of their own until they are resolved.
        let resolved = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = resolved.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            name,
            folder: folder.to_owned(),
            config,
            sha256,
            diffusion,
            backbone: Box::new(backbone),
            exits,
            device,
            dtype,
        })
    }
}

impl Model {
    /// The same model for another sampler or thread; its weights are not copied.
    pub fn share(&self) -> Self {
        Self {
            name: self.name.clone(),
            folder: self.folder.clone(),
            config: self.config.clone(),
            sha256: self.sha256.clone(),
            diffusion: self.diffusion.clone(),
            backbone: self.backbone.share(),
            exits: self.exits.as_ref().map(LearnedExits::share),
            ..*self
        }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut model = f.debug_struct("Model");
        model.field("name", &self.name).field("sha256", &self.sha256).field("device", &self.device);
        model.field("dtype", &self.dtype).finish_non_exhaustive()
    }
}

fn check_device(device: Device) -> Result<(), ModelError> {
    let refuse = |reason| Err(ModelError::Device { device, reason });
    match device {
        Device::Cpu => Ok(()),
        Device::Cuda(i) if !Cuda::is_available() => {
            refuse(format!("no CUDA device {i}: this libtorch sees no CUDA (`offramp doctor` says why)"))
        }
        Device::Cuda(i) if i as i64 >= Cuda::device_count() => {
            refuse(format!("{} CUDA devices are visible", Cuda::device_count()))
        }
        Device::Cuda(_) => Ok(()),
        _ => refuse("offramp runs on cpu and cuda".into()),
    }
}
