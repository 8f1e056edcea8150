//! What a run starts from.

use std::path::{Path, PathBuf};

use super::TrainError;
use crate::backbone::{
    Checkpoint, Config, DiffusionConfig, Layout, ModelError, Parameters, init_parameters, read_parameters,
};
use crate::data::Wanted;
use crate::learned::LearnedExits;
use crate::solver::{Diffusion, PredictionType};

/// Where a run starts from.
#[derive(Debug)]
pub struct Origin {
    /// The network's configuration.
    pub config: Config,
    /// All of its tensors, f32.
    pub parameters: Parameters,
    /// The betas.
    pub diffusion: Diffusion,
    /// What the settings say of it: the hash of its file, or the seed that it is drawn from.
    pub name: String,
    /// The file that the tensors are from.
    pub file: Option<PathBuf>,
    /// Exits that were trained on these weights before.
    pub exits: Option<LearnedExits>,
}

impl Origin {
    /// The weights of a folder, to be trained on.
    ///
    /// # Errors
    /// The folder is refused, or its network cannot be trained here.
    pub fn weights(folder: &Path) -> Result<Self, TrainError> {
        let config = Config::read(&folder.join("config.json")).map_err(ModelError::from)?;
        let file = folder.join("model.safetensors");
        let (parameters, sha256) = read_parameters(&Checkpoint::open(&file)?, &config)?;
        let exits = LearnedExits::beside(folder, &config, &sha256)?;
        Ok(Self { exits, ..Self::new(config, parameters, sha256, Some(file))? })
    }

    /// A network of this configuration that has learned nothing.
    ///
    /// # Errors
    /// The file is refused, or its network cannot be trained here.
    pub fn scratch(config: &Path, seed: u64) -> Result<Self, TrainError> {
        let config = Config::read(config).map_err(ModelError::from)?;
        let parameters = init_parameters(&config, seed)?;
        Self::new(config, parameters, format!("drawn from seed {seed}"), None)
    }

    fn new(
        config: Config,
        parameters: Parameters,
        name: String,
        file: Option<PathBuf>,
    ) -> Result<Self, TrainError> {
        let refuse = |setting, got: String, reason| Err(TrainError::Setting { setting, got, reason });
        if config.layout != Layout::Meta {
            let reason = "weights are trained, and written, in the layout meta";
            return refuse("layout", "huggingface".into(), reason);
        }
        let DiffusionConfig { timesteps, beta_schedule, beta_start, beta_end, prediction } = config.diffusion;
        if prediction != PredictionType::Epsilon {
            return refuse(
                "prediction",
                format!("{prediction:?}"),
                "networks that predict noise are trained",
            );
        }
        if config.learn_sigma {
            return refuse("learn_sigma", "true".into(), "a learned variance is not trained");
        }
        let diffusion =
            Diffusion::new(beta_schedule, timesteps, beta_start, beta_end).map_err(ModelError::from)?;
        Ok(Self { config, parameters, diffusion, name, file, exits: None })
    }

    /// What the data must be like.
    pub fn wanted(&self) -> Wanted {
        let c = &self.config;
        Wanted {
            shape: [c.in_channels, c.input_size, c.input_size].map(|n| n as usize),
            classes: c.num_classes as usize,
        }
    }
}
