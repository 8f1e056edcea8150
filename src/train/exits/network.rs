//! Backbone and exits together, of tensors that are learned and tensors that are not.

use std::path::{Path, PathBuf};

use tch::{Device, Kind};

use crate::Sampler;
use crate::backbone::{Backbone, Config, Model, Parameters, assemble};
use crate::digest::sha256_of;
use crate::learned::{FILE, LearnedConfig, LearnedExits};
use crate::output::OutputError;
use crate::solver::Diffusion;
use crate::train::TrainError;
use crate::train::backbone::{share, write_backbone};

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
        Ok((assemble(&self.of_backbone(&whole), &self.config, Device::Cpu, dtype)?, exits))
    }

    /// The exits of all its tensors.
    pub fn exits_of(&self, learned: &Parameters) -> Result<LearnedExits, TrainError> {
        let config = self.exits.clone().ok_or(TrainError::Worker("there are no exits".into()))?;
        Ok(LearnedExits::assemble(config, &self.whole(learned))?)
    }

    fn whole(&self, learned: &Parameters) -> Parameters {
        let mut whole = share(&self.fixed);
        whole.extend(share(learned));
        whole
    }

    fn of_backbone(&self, whole: &Parameters) -> Parameters {
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
        let parameters = self.of_backbone(&self.whole(learned));
        Ok(Sampler::new(Model::of_parameters("training", &parameters, &self.config)?))
    }

    /// Writes a weights folder.
    pub fn write(&self, learned: &Parameters, folder: &Path) -> Result<(), TrainError> {
        let whole = self.whole(learned);
        let model = folder.join("model.safetensors");
        write_backbone(&self.of_backbone(&whole), self.origin.as_deref(), &self.config, folder)?;
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
