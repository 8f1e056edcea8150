//! `train backbone`: a denoiser learns to predict the noise (DDPM, Ho et al. 2020, arXiv 2006.11239, algorithm 1).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, json};
use tch::{Device, Kind, Tensor};

use super::examples::Examples;
use super::objective::{Losses, Objective};
use super::{Arithmetic, Place, Recipe, TrainError, TrainRun, Weighting};
use crate::Sampler;
use crate::backbone::{
    Checkpoint, Config, DiffusionConfig, Layout, Model, Parameters, assemble, init_parameters, is_learned,
    read_parameters,
};
use crate::data::{TrainingSet, Wanted};
use crate::learned::{FILE, LearnedExits};
use crate::output::{OutputError, write_bytes, write_tensors, write_text};
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
        let config = Config::read(&folder.join("config.json")).map_err(crate::backbone::ModelError::from)?;
        let file = folder.join("model.safetensors");
        let (parameters, sha256) = read_parameters(&Checkpoint::open(&file)?, &config)?;
        let of_exits = folder.join(FILE);
        let exits = match of_exits.exists() {
            true => Some(LearnedExits::read(&of_exits, config.depth, &sha256)?),
            false => None,
        };
        Ok(Self { exits, ..Self::new(config, parameters, sha256, Some(file))? })
    }

    /// A network of this configuration that has learned nothing.
    ///
    /// # Errors
    /// The file is refused, or its network cannot be trained here.
    pub fn scratch(config: &Path, seed: u64) -> Result<Self, TrainError> {
        let config = Config::read(config).map_err(crate::backbone::ModelError::from)?;
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
        let diffusion = Diffusion::new(beta_schedule, timesteps, beta_start, beta_end)
            .map_err(crate::backbone::ModelError::from)?;
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

/// Opens a run that trains a whole backbone.
///
/// # Errors
/// The recipe cannot be, or the folder has another run.
pub fn train_backbone(
    recipe: Recipe,
    origin: &Origin,
    data: TrainingSet,
    place: Place,
) -> Result<TrainRun, TrainError> {
    let settings = Map::from_iter([
        ("train".to_owned(), json!("backbone")),
        ("data".to_owned(), json!({ "sha256": data.sha256, "images": data.len() })),
        ("from".to_owned(), json!(origin.name)),
        ("network".to_owned(), json!(origin.config)),
        ("recipe".to_owned(), json!(recipe)),
    ]);
    let (learned, fixed): (Parameters, Parameters) =
        share(&origin.parameters).into_iter().partition(|(key, _)| is_learned(key));
    let objective = Denoising {
        config: origin.config.clone(),
        diffusion: origin.diffusion.clone(),
        fixed,
        weighting: recipe.weighting,
        arithmetic: recipe.arithmetic,
    };
    TrainRun::open(recipe, Box::new(objective), &learned, data, &settings, place)
}

/// E‖ε̂(x_t, t) − ε‖²·λ(t) at full depth.
pub(super) struct Denoising {
    pub config: Config,
    pub diffusion: Diffusion,
    /// Tensors that are not learned.
    pub fixed: Parameters,
    pub weighting: Weighting,
    pub arithmetic: Arithmetic,
}

impl Denoising {
    /// All tensors of the network.
    fn whole(&self, learned: &Parameters) -> Parameters {
        let mut whole = share(&self.fixed);
        whole.extend(share(learned));
        whole
    }
}

impl Objective for Denoising {
    fn losses(&self, learned: &Parameters, examples: &Examples) -> Result<Losses, TrainError> {
        let dtype = self.arithmetic.kind();
        let backbone = assemble(&self.whole(learned), &self.config, Device::Cpu, dtype)?;
        let mut state = backbone.begin(&examples.input())?;
        for i in 0..backbone.depth() {
            backbone.block(i, &mut state)?;
        }
        let predicted = backbone.finish(backbone.depth(), state)?;
        let errors = squared_errors(&predicted, &examples.noise)?; // [b]
        let weights = examples.weights(self.weighting, &self.diffusion)?;
        let total = errors.f_mul(&weights)?.f_mean(Kind::Float)?;
        Ok(Losses { total, parts: vec![("mse".into(), errors.f_mean(Kind::Float)?)] })
    }

    fn diffusion(&self) -> &Diffusion {
        &self.diffusion
    }

    fn null_class(&self) -> Option<i64> {
        self.config.null_class
    }

    fn value_range(&self) -> [f64; 2] {
        self.config.value_range
    }

    fn sampler(&self, learned: &Parameters) -> Result<Sampler, TrainError> {
        Ok(Sampler::new(Model::of_parameters("training", &self.whole(learned), &self.config)?))
    }

    fn write(&self, learned: &Parameters, folder: &Path) -> Result<(), TrainError> {
        write_backbone(&self.whole(learned), None, &self.config, folder)
    }

    fn share(&self) -> Box<dyn Objective> {
        Box::new(Self {
            config: self.config.clone(),
            diffusion: self.diffusion.clone(),
            fixed: share(&self.fixed),
            ..*self
        })
    }
}

/// Per image, the mean over its pixels of (predicted − noise)²: `[b]`.
pub(super) fn squared_errors(predicted: &Tensor, noise: &Tensor) -> Result<Tensor, tch::TchError> {
    predicted.f_sub(noise)?.f_square()?.f_mean_dim(&[1i64, 2, 3][..], false, Kind::Float)
}

/// The same tensors, without a copy.
pub(super) fn share(parameters: &Parameters) -> Parameters {
    parameters.iter().map(|(key, tensor)| (key.clone(), tensor.shallow_clone())).collect()
}

/// Writes `config.json` and `model.safetensors`, in f16; or, where the weights are those of the file `same`, that
/// file's bytes.
pub(super) fn write_backbone(
    parameters: &Parameters,
    same: Option<&Path>,
    config: &Config,
    folder: &Path,
) -> Result<(), TrainError> {
    let not_writable = |source| OutputError::NotWritable { folder: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(not_writable)?;
    let model = folder.join("model.safetensors");
    match same {
        Some(same) => write_bytes(&model, &std::fs::read(same).map_err(OutputError::io(same))?)?,
        None => {
            let named: Vec<(String, Tensor)> = share(parameters).into_iter().collect();
            write_tensors(&model, Kind::Half, &named, HashMap::new())?;
        }
    }
    let text = serde_json::to_string_pretty(config).unwrap_or_default() + "\n";
    Ok(write_text(&folder.join("config.json"), &text)?)
}
