//! Learned exits: what training adds to a backbone so that it can be left early, and the file that holds it.
//!
//! At each of some depths there may be a head, which readies the state for the backbone's final layer
//! ([`ExitHead`]), an estimator of the error that leaving would make ([`Estimator`]), and a gate
//! ([`Gate`]). The same code serves training and sampling: all of it can be differentiated, and
//! [`LearnedExits::assemble`] takes tensors as they are, leaves that ask for gradients among them.
//!
//! They are stored beside the weights as `exits.safetensors`, f16, with a [`LearnedConfig`] as JSON in its
//! metadata under `exits`.

mod adadiff;
mod config;
mod error;
mod estimator;
mod gate;
mod head;
mod init;
mod layers;
#[cfg(feature = "evaluate")]
mod pass;

pub use config::{
    ConfigFault, EstimatorConfig, EstimatorKind, GateConfig, HeadKind, LearnedConfig, Quantity, Target,
    VERSION,
};
pub use error::LearnedError;
pub use estimator::Estimator;
pub use gate::Gate;
pub use head::ExitHead;
#[cfg(feature = "evaluate")]
pub(crate) use pass::Pass;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use tch::{Device, Kind, Tensor};

use self::layers::Source;
use crate::backbone::{Checkpoint, Config};
use crate::linear::Shapes;
use crate::output::{version_of, write_tensors};

/// The file beside `model.safetensors`.
pub const FILE: &str = "exits.safetensors";

/// Where the file's metadata holds its description.
const DESCRIPTION: &str = "exits";

/// The learned parts of all exits.
#[derive(Debug)]
pub struct LearnedExits {
    config: LearnedConfig,
    /// SHA-256 of the file that they were read from.
    sha256: Option<String>,
    tensors: BTreeMap<String, Tensor>,
    by_depth: BTreeMap<usize, Parts>,
}

/// The learned parts of one exit.
#[derive(Debug)]
struct Parts {
    head: Option<ExitHead>,
    estimator: Option<Estimator>,
    gate: Option<Gate>,
}

impl LearnedExits {
    /// Untrained exits, f32 on the CPU, from a seed alone: heads are the shared one, estimators say ½, gates are
    /// random.
    ///
    /// # Errors
    /// The description cannot be.
    pub fn init(config: LearnedConfig, seed: u64) -> Result<Self, LearnedError> {
        config.check()?;
        let tensors = init::tensors(&Self::shapes(&config), seed)?;
        Self::assemble(config, &tensors)
    }

    /// The exits of these tensors, which are used as they are: a leaf that asks for gradients gets them.
    /// Tensors of other names are left alone.
    ///
    /// # Errors
    /// The description cannot be; a tensor is missing or of another shape.
    pub fn assemble(config: LearnedConfig, tensors: &BTreeMap<String, Tensor>) -> Result<Self, LearnedError> {
        config.check()?;
        let mut own = BTreeMap::new();
        for (name, expected) in Self::shapes(&config) {
            let got: Option<Vec<usize>> =
                tensors.get(&name).map(|t| t.size().iter().map(|&n| n as usize).collect());
            match tensors.get(&name) {
                Some(tensor) if got.as_ref() == Some(&expected) => {
                    own.insert(name, tensor.shallow_clone());
                }
                _ => return Err(LearnedError::Tensor { tensor: name, expected, got }),
            }
        }
        let mut by_depth = BTreeMap::new();
        for &depth in &config.points {
            let source = |part: &str| Source { tensors: &own, prefix: format!("{part}.{depth}") };
            let head = ExitHead::assemble(&config, &source("heads"))?;
            let estimator = Estimator::assemble(&config, &source("estimators"))?;
            let gate = Gate::assemble(&config, &source("gates"))?;
            by_depth.insert(depth, Parts { head, estimator, gate });
        }
        Ok(Self { config, sha256: None, tensors: own, by_depth })
    }

    /// The names and shapes of the tensors that a description calls for.
    pub fn shapes(config: &LearnedConfig) -> BTreeMap<String, Vec<usize>> {
        let mut shapes = Shapes::new();
        for depth in &config.points {
            ExitHead::shapes(config, &format!("heads.{depth}"), &mut shapes);
            Estimator::shapes(config, &format!("estimators.{depth}"), &mut shapes);
            Gate::shapes(config, &format!("gates.{depth}"), &mut shapes);
        }
        shapes
    }

    /// All tensors by name, the tensors themselves, not copies.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    }

    /// Reads the exits of a backbone of `depth` blocks whose weights have this SHA-256 (hex): f32, on the CPU.
    ///
    /// # Errors
    /// The file is not there, damaged, of another version, was trained on other weights, or its tensors are not
    /// those that it describes or not finite.
    pub fn read(file: &Path, depth: usize, weights_sha256: &str) -> Result<Self, LearnedError> {
        let checkpoint = Checkpoint::open(file)?;
        let config = describe(&checkpoint)?;
        let refuse = |fault| LearnedError::Description { file: file.to_owned(), fault };
        if config.weights_sha256 != weights_sha256 {
            return Err(LearnedError::OtherWeights {
                file: file.to_owned(),
                expected: weights_sha256.into(),
                got: config.weights_sha256,
            });
        }
        config.check_depth(depth).map_err(refuse)?;
        checkpoint.expect(&Self::shapes(&config), "the exits that it describes")?;
        let (tensors, sha256) = checkpoint.read()?;
        Ok(Self { sha256: Some(sha256), ..Self::assemble(config, &tensors)? })
    }

    /// The exits beside the weights in `folder`, whose network and SHA-256 these are; none if there is no such file.
    ///
    /// # Errors
    /// As [`LearnedExits::read`]; or they are of another network's shape.
    pub fn beside(
        folder: &Path,
        config: &Config,
        weights_sha256: &str,
    ) -> Result<Option<Self>, LearnedError> {
        let file = folder.join(FILE);
        // A link to nowhere is not the same as no file: opening it says what is wrong.
        if file.symlink_metadata().is_err() {
            return Ok(None);
        }
        let exits = Self::read(&file, config.depth, weights_sha256)?;
        exits.config().check_network(config).map_err(|fault| LearnedError::Description { file, fault })?;
        Ok(Some(exits))
    }

    /// Writes them as f16 `.safetensors`, all or nothing.
    ///
    /// # Errors
    /// The file cannot be written; a value is beyond f16.
    pub fn write(&self, file: &Path) -> Result<(), LearnedError> {
        // A description of strings and whole numbers always serialises.
        let description = serde_json::to_string(&self.config).unwrap_or_default();
        let facts = HashMap::from([(DESCRIPTION.to_owned(), description)]);
        Ok(write_tensors(file, Kind::Half, &self.named(), facts)?)
    }

    /// The same exits on another device, in another dtype; what asks for gradients is differentiated through.
    ///
    /// # Errors
    /// libtorch cannot.
    pub fn to(&self, device: Device, dtype: Kind) -> Result<Self, LearnedError> {
        let mut tensors = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            tensors.insert(name.clone(), tensor.f_to_device(device)?.f_to_kind(dtype)?);
        }
        Ok(Self { sha256: self.sha256.clone(), ..Self::assemble(self.config.clone(), &tensors)? })
    }

    /// The same exits for another thread; no tensor is copied.
    pub fn share(&self) -> Self {
        let parts = |parts: &Parts| Parts {
            head: parts.head.as_ref().map(ExitHead::share),
            estimator: parts.estimator.as_ref().map(Estimator::share),
            gate: parts.gate.as_ref().map(Gate::share),
        };
        Self {
            config: self.config.clone(),
            sha256: self.sha256.clone(),
            tensors: self.named().into_iter().collect(),
            by_depth: self.by_depth.iter().map(|(&depth, p)| (depth, parts(p))).collect(),
        }
    }

    /// What they are.
    pub fn config(&self) -> &LearnedConfig {
        &self.config
    }

    /// SHA-256 of the file that they were read from, hex; none if they were not.
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// The head after `depth` blocks; none where it is the shared one.
    pub fn head(&self, depth: usize) -> Option<&ExitHead> {
        self.by_depth.get(&depth)?.head.as_ref()
    }

    /// The estimator after `depth` blocks.
    pub fn estimator(&self, depth: usize) -> Option<&Estimator> {
        self.by_depth.get(&depth)?.estimator.as_ref()
    }

    /// The gate after `depth` blocks.
    pub fn gate(&self, depth: usize) -> Option<&Gate> {
        self.by_depth.get(&depth)?.gate.as_ref()
    }
}

/// What a file says of its exits, checked.
fn describe(checkpoint: &Checkpoint) -> Result<LearnedConfig, LearnedError> {
    let file = || checkpoint.file().to_owned();
    let text = checkpoint.fact(DESCRIPTION).ok_or_else(|| LearnedError::NoDescription { file: file() })?;
    let parse = |source| LearnedError::Parse { file: file(), source };
    let refuse = |fault| LearnedError::Description { file: file(), fault };
    let version = version_of(text.as_bytes()).map_err(parse)?;
    if version != VERSION {
        let value = version.to_string();
        let reason = format!("this offramp reads version {VERSION}");
        return Err(refuse(ConfigFault { field: "version", value, reason }));
    }
    let config: LearnedConfig = serde_json::from_str(text).map_err(parse)?;
    config.check().map_err(refuse)?;
    Ok(config)
}
