//! `train backbone`: a denoiser learns to predict the noise (DDPM, Ho et al. 2020, arXiv 2006.11239, algorithm 1).

use serde_json::{Map, json};
use tch::{Kind, Tensor};

use super::examples::Examples;
use super::network::{Network, share};
use super::objective::{Losses, Objective};
use super::{Arithmetic, Origin, Place, Recipe, TrainError, TrainRun, Weighting};
use crate::backbone::{Parameters, is_learned};
use crate::data::TrainingSet;

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
    let network = Network {
        config: origin.config.clone(),
        diffusion: origin.diffusion.clone(),
        exits: None,
        fixed,
        origin: None,
        haste: 1.0,
    };
    let objective = Denoising { network, weighting: recipe.weighting, arithmetic: recipe.arithmetic };
    TrainRun::open(recipe, Box::new(objective), &learned, data, &settings, place)
}

/// E‖ε̂(x_t, t) − ε‖²·λ(t) at full depth.
pub(super) struct Denoising {
    pub network: Network,
    pub weighting: Weighting,
    pub arithmetic: Arithmetic,
}

impl Objective for Denoising {
    fn losses(&self, learned: &Parameters, examples: &Examples) -> Result<Losses, TrainError> {
        let (backbone, _) = self.network.assemble(learned, self.arithmetic.kind())?;
        let mut state = backbone.begin(&examples.input())?;
        for i in 0..backbone.depth() {
            backbone.block(i, &mut state)?;
        }
        let predicted = backbone.finish(backbone.depth(), state)?;
        let errors = squared_errors(&predicted, &examples.noise)?; // [b]
        let weights = examples.weights(self.weighting, &self.network.diffusion)?;
        let total = errors.f_mul(&weights)?.f_mean(Kind::Float)?;
        Ok(Losses { total, parts: vec![("mse".into(), errors.f_mean(Kind::Float)?)] })
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn share(&self) -> Box<dyn Objective> {
        Box::new(Self { network: self.network.share(), ..*self })
    }
}

/// Per image, the mean over its pixels of (predicted − noise)²: `[b]`.
pub(super) fn squared_errors(predicted: &Tensor, noise: &Tensor) -> Result<Tensor, tch::TchError> {
    predicted.f_sub(noise)?.f_square()?.f_mean_dim(&[1i64, 2, 3][..], false, Kind::Float)
}
