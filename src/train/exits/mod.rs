//! `train exits`: a backbone learns to be left early.

mod ase;
mod deediff;
mod error_table;
mod gate;
mod losses;
#[cfg(test)]
mod parity;
mod recipe;
mod recorded;

pub use recipe::{DeediffTerms, ExitsRecipe, GateTable, Method, Tune};

use serde_json::{Map, json};
use tch::Tensor;

use self::ase::Ase;
use self::deediff::Deediff;
use self::gate::JointGates;
use self::recorded::{RecordedGates, Recording};
use super::network::{Network, share};
use super::objective::Objective;
use super::{Origin, Place, Recipe, RunFolder, TrainError, TrainRun};
use crate::backbone::{Parameters, embeds_time, is_learned};
use crate::data::TrainingSet;
use crate::learned::{
    EstimatorConfig, EstimatorKind, GateConfig, HeadKind, LearnedConfig, LearnedExits, VERSION,
};

/// Opens a run that trains exits.
///
/// # Errors
/// The recipes cannot be, or the folder has another run.
pub fn train_exits(
    recipe: Recipe,
    exits: &ExitsRecipe,
    origin: &Origin,
    data: TrainingSet,
    place: Place,
) -> Result<TrainRun, TrainError> {
    exits.check(origin.config.depth, origin.diffusion.timesteps())?;
    let settings = Map::from_iter([
        ("train".to_owned(), json!("exits")),
        ("data".to_owned(), json!({ "sha256": data.sha256, "images": data.len() })),
        ("from".to_owned(), json!(origin.name)),
        ("exits_from".to_owned(), json!(origin.exits.as_ref().and_then(LearnedExits::sha256))),
        ("network".to_owned(), json!(origin.config)),
        ("exits".to_owned(), json!(exits)),
        ("recipe".to_owned(), json!(recipe)),
    ]);
    let (learned, network) = divide(exits, origin, recipe.seed)?;
    let (weighting, arithmetic) = (recipe.weighting, recipe.arithmetic);
    let objective: Box<dyn Objective> = match &exits.method {
        Method::Ase { schedule } => {
            Box::new(Ase { network, schedule: schedule.clone(), weighting, arithmetic })
        }
        &Method::Deediff(terms) => {
            Box::new(Deediff { network, terms, tune: exits.tune, weighting, arithmetic })
        }
        &Method::Gate { price, table: GateTable::Joint, .. } => {
            Box::new(JointGates { network, price, weighting, arithmetic })
        }
        &Method::Gate { price, table: GateTable::Recorded { images }, .. } => {
            recipe.check(data.len(), network.config.null_class)?;
            if images == 0 || images > data.len() {
                let reason = "it must be at least 1 and at most the number of images";
                return Err(TrainError::Setting { setting: "record", got: images.to_string(), reason });
            }
            let file =
                RunFolder::open(place.folder, &settings, place.resume)?.path().join("errors.safetensors");
            let recording =
                Recording::of(&file, &network, &learned, &recipe, images, &data, place.threads.max(1))?;
            let objective = Box::new(RecordedGates { network, recording, price, seed: recipe.seed });
            let place = Place { resume: true, ..place };
            return TrainRun::open(recipe, objective, &learned, data, &settings, place);
        }
    };
    TrainRun::open(recipe, objective, &learned, data, &settings, place)
}

/// Tensors that are learned, and the network around them.
fn divide(exits: &ExitsRecipe, origin: &Origin, seed: u64) -> Result<(Parameters, Network), TrainError> {
    let config = exits.learned_config(origin);
    let mut learned = Parameters::new();
    let mut fixed = Parameters::new();
    for (key, tensor) in share(&origin.parameters) {
        let changes = match (&exits.method, exits.tune) {
            (_, Tune::Exits) => false,
            (Method::Ase { .. }, Tune::All) => is_learned(&key) && !embeds_time(&key),
            (_, Tune::All) => is_learned(&key),
        };
        if changes { &mut learned } else { &mut fixed }.insert(key, tensor);
    }
    if let Some(config) = &config {
        // What has been trained on these weights before is trained on.
        let before: Parameters = origin.exits.iter().flat_map(LearnedExits::named).collect();
        for (name, fresh) in LearnedExits::init(config.clone(), seed)?.named() {
            let trained = before.get(&name).filter(|t| t.size() == fresh.size());
            let start = trained.map(Tensor::shallow_clone);
            let start = start.unwrap_or(fresh);
            // What a recording was made with must not change.
            match exits.records() && !name.starts_with("gates.") {
                true => fixed.insert(name, start),
                false => learned.insert(name, start),
            };
        }
    }
    let network = Network {
        config: origin.config.clone(),
        diffusion: origin.diffusion.clone(),
        exits: config,
        fixed,
        origin: (exits.tune == Tune::Exits).then(|| origin.file.clone()).flatten(),
        haste: exits.haste,
    };
    Ok((learned, network))
}

impl ExitsRecipe {
    fn records(&self) -> bool {
        matches!(self.method, Method::Gate { table: GateTable::Recorded { .. }, .. })
    }

    /// What the exits' file will say of itself; none where a method has no learned parts beside the backbone.
    fn learned_config(&self, origin: &Origin) -> Option<LearnedConfig> {
        let (estimator, gate) = match self.method {
            Method::Ase { .. } => return None,
            Method::Deediff(terms) => (Some(EstimatorConfig::new(terms.estimator, terms.target)), None),
            Method::Gate { hidden, .. } => (None, Some(GateConfig { hidden })),
        };
        let c = &origin.config;
        let side = (c.input_size / c.patch_size) as usize;
        Some(LearnedConfig {
            version: VERSION,
            // Of weights that are being changed there is no hash yet; it is filled in when they are written.
            weights_sha256: "0".repeat(64),
            width: c.hidden_size as usize,
            grid: [side, side],
            patch_outputs: (c.patch_size * c.patch_size * c.in_channels) as usize,
            points: self.points.clone(),
            heads: self.heads,
            estimator,
            gate,
        })
    }

    fn check(&self, depth: usize, timesteps: usize) -> Result<(), TrainError> {
        let refuse = |setting, got: String, reason| Err(TrainError::Setting { setting, got, reason });
        let inside = self.points.iter().all(|p| (1..depth).contains(p));
        if !matches!(self.method, Method::Ase { .. })
            && (self.points.is_empty() || !inside || !self.points.is_sorted_by(|a, b| a < b))
        {
            let reason = "exits are depths below the network's, ascending, at least one";
            return refuse("points", format!("{:?}", self.points), reason);
        }
        if !(self.haste.is_finite() && self.haste > 0.0) {
            return refuse("exits-rate", self.haste.to_string(), "it must be above 0");
        }
        let amount = |setting, value: f64| match value.is_finite() && value >= 0.0 {
            true => Ok(()),
            false => refuse(setting, value.to_string(), "it must be a number of at least 0"),
        };
        match &self.method {
            Method::Ase { schedule } => {
                if self.tune == Tune::Exits || self.heads != HeadKind::Shared {
                    let reason = "this method trains the backbone itself, with its own final layer";
                    return refuse("method", "ase".into(), reason);
                }
                schedule.validate().map_err(crate::exit::ExitError::from)?;
                for (setting, expected, got) in [
                    ("schedule depth", depth, schedule.depth),
                    ("schedule timesteps", timesteps, schedule.timesteps),
                ] {
                    if expected != got {
                        return refuse(setting, got.to_string(), "the network has another one");
                    }
                }
                Ok(())
            }
            Method::Deediff(DeediffTerms { estimator, lambda, beta, exits_per_step, .. }) => {
                amount("lambda", *lambda)?;
                amount("beta", *beta)?;
                if *exits_per_step == 0 || *exits_per_step > self.points.len() {
                    let got = exits_per_step.to_string();
                    return refuse("exits-per-step", got, "it must be 1 to the number of exits");
                }
                if *estimator == EstimatorKind::Released && *exits_per_step != self.points.len() {
                    let got = exits_per_step.to_string();
                    return refuse("exits-per-step", got, "the released estimator weighs all exits at once");
                }
                Ok(())
            }
            Method::Gate { price, hidden, .. } => {
                amount("price", *price)?;
                if self.tune == Tune::All {
                    return refuse(
                        "tune",
                        "all".into(),
                        "gates are trained over a backbone that stays as it is",
                    );
                }
                match hidden {
                    0 => refuse("hidden", "0".into(), "it must be at least 1"),
                    _ => Ok(()),
                }
            }
        }
    }
}
