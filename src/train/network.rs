//! Backbone and exits together, of tensors that are learned and tensors that are not: what every objective has.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};

use crate::Sampler;
use crate::backbone::{Backbone, Config, Model, Parameters, assemble};
use crate::digest::sha256_of;
use crate::learned::{FILE, LearnedConfig, LearnedExits};
use crate::output::{OutputError, write_bytes, write_tensors, write_text};
use crate::solver::Diffusion;
use crate::train::TrainError;

/// What does not change in a run's course.
pub(super) struct Network {
    pub config: Config,
    pub diffusion: Diffusion,
    /// None where a method has no learned parts beside the backbone.
    pub exits: Option<LearnedConfig>,
    /// Tensors that are not learned.
    pub fixed: Parameters,
    /// The weights file that the run began with, when no tensor of it is learned: it is copied, not rewritten.
    pub origin: Option<PathBuf>,
    /// What the learning rate is multiplied by for the exits' own tensors.
    pub haste: f64,
}

impl Network {
    /// Of all its tensors in the dtype of a pass.
    pub fn assemble(
        &self,
        learned: &Parameters,
        dtype: Kind,
    ) -> Result<(Box<dyn Backbone>, Option<LearnedExits>), TrainError> {
        let whole = self.whole(learned);
        let exits = match &self.exits {
            Some(config) => Some(LearnedExits::assemble(config.clone(), &whole)?.to(Device::Cpu, dtype)?),
            None => None,
        };
        Ok((assemble(&whole, &self.config, Device::Cpu, dtype)?, exits))
    }

    /// [`Network::assemble`] where a method has exits beside the backbone.
    pub fn with_exits(
        &self,
        learned: &Parameters,
        dtype: Kind,
    ) -> Result<(Box<dyn Backbone>, LearnedExits), TrainError> {
        match self.assemble(learned, dtype)? {
            (backbone, Some(exits)) => Ok((backbone, exits)),
            (_, None) => Err(TrainError::Worker("there are no exits".into())),
        }
    }

    fn whole(&self, learned: &Parameters) -> Parameters {
        let mut whole = share(&self.fixed);
        whole.extend(share(learned));
        whole
    }

    fn of_backbone(&self, whole: &Parameters) -> Vec<(String, Tensor)> {
        let of_exits = self.exits.as_ref().map(LearnedExits::shapes).unwrap_or_default();
        share(whole).into_iter().filter(|(key, _)| !of_exits.contains_key(key)).collect()
    }

    /// What the learning rate of a tensor is multiplied by.
    pub fn haste(&self, name: &str) -> f64 {
        let of_exits = |config: &LearnedConfig| LearnedExits::shapes(config).contains_key(name);
        if self.exits.as_ref().is_some_and(of_exits) { self.haste } else { 1.0 }
    }

    /// Draws at full depth.
    pub fn sampler(&self, learned: &Parameters) -> Result<Sampler, TrainError> {
        Ok(Sampler::new(Model::of_parameters("training", &self.whole(learned), &self.config)?))
    }

    /// Writes a weights folder, f16; each of its files is whole or not there.
    pub fn write(&self, learned: &Parameters, folder: &Path) -> Result<(), TrainError> {
        let whole = self.whole(learned);
        let model = folder.join("model.safetensors");
        let not_writable = |source| OutputError::NotWritable { folder: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(not_writable)?;
        match &self.origin {
            Some(same) => write_bytes(&model, &std::fs::read(same).map_err(OutputError::io(same))?)?,
            None => write_tensors(&model, Kind::Half, &self.of_backbone(&whole), HashMap::new())?,
        }
        let text = serde_json::to_string_pretty(&self.config).unwrap_or_default() + "\n";
        write_text(&folder.join("config.json"), &text)?;
        if let Some(config) = &self.exits {
            let weights_sha256 = sha256_of(&model).map_err(OutputError::io(&model))?;
            let config = LearnedConfig { weights_sha256, ..config.clone() };
            LearnedExits::assemble(config, &whole)?.write(&folder.join(FILE))?;
        }
        Ok(())
    }

    /// The same for another thread.
    pub fn share(&self) -> Self {
        Self {
            config: self.config.clone(),
            diffusion: self.diffusion.clone(),
            exits: self.exits.clone(),
            fixed: share(&self.fixed),
            origin: self.origin.clone(),
            haste: self.haste,
        }
    }
}

/// The same tensors, without a copy.
pub(super) fn share(parameters: &Parameters) -> Parameters {
    parameters.iter().map(|(key, tensor)| (key.clone(), tensor.shallow_clone())).collect()
}
