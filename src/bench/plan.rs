//! A plan: a TOML file that says which points are measured, and how.
//!
//! The points are the product of the lists `weights`, `solver`, `steps`, `exit`, `tail`, `guidance`, `batch`
//! and `dtype`, with those of `[[point]]` tables besides. Baselines are added to them without being asked for;
//! to leave one out, a plan must give a reason, and the report prints it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Labels;
use super::peer::PEERS;
use super::plan_error::PlanError;
use super::plan_keys;

/// The keys of the mandatory baselines in `[baselines]` and `[left-out]`; full depth can be neither set nor left out.
pub const BASELINES: [&str; 5] = ["full", "fewer-steps", "fixed", "schedule", "first-block-cache"];

/// A plan, as in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Weights folders, or their names.
    pub weights: Vec<String>,
    /// Solvers as typed.
    #[serde(default = "default_solver")]
    pub solver: Vec<String>,
    /// Solver steps.
    pub steps: Vec<usize>,
    /// Exits as typed.
    #[serde(default = "default_exit")]
    pub exit: Vec<String>,
    /// Tails as typed; none is each model's own: its trained heads if it has some, else `head`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<Vec<String>>,
    /// Guidance scales; 1 is none.
    #[serde(default = "default_guidance")]
    pub guidance: Vec<f64>,
    /// Images per micro-batch.
    #[serde(default = "default_batch")]
    pub batch: Vec<usize>,
    /// `f32` or `bf16`.
    #[serde(default = "default_dtype")]
    pub dtype: Vec<String>,
    /// CPU threads, each with micro-batches of its own; none is one a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Images of each point.
    pub n: usize,
    /// Seed of image 0.
    #[serde(default)]
    pub seed: u64,
    /// How images get their classes.
    #[serde(default = "default_labels")]
    pub labels: Labels,
    /// Rounds that the images are drawn in, the first of them for warming up; none is as many as make sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<usize>,
    /// The real images that distances are to: a folder, an `.npz`, or `data:NAME/PART`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Other real images: as many of them as images drawn give the floor of every distance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<String>,
    /// Feature extractors by name.
    #[serde(default)]
    pub extractors: Vec<String>,
    /// Trajectories that the exits' errors are measured on; 0 is not at all.
    #[serde(default = "default_error_images")]
    pub error_images: usize,
    /// The mandatory baselines, where their defaults will not do.
    #[serde(default)]
    pub baselines: Baselines,
    /// Mandatory baselines that are left out, with the reason.
    #[serde(default)]
    pub left_out: BTreeMap<String, String>,
    /// Other programs that run the same weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Peers>,
    /// Points besides the product.
    #[serde(default)]
    pub point: Vec<PointTable>,
    /// What the score is taken against.
    #[serde(default)]
    pub score: Score,
}

/// `[baselines]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Baselines {
    /// Numbers of solver steps; by default 0.4, 0.5, 0.6 and 0.8 of each in `steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fewer_steps: Option<Vec<usize>>,
    /// Depths; by default a half and three quarters of the blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Vec<usize>>,
    /// A schedule's name; by default the first in `exit`, else the weights' first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Relative changes of the first block's residual, up to each of which the other blocks' is used again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_block_cache: Option<Vec<f64>>,
}

/// `[peers]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Peers {
    /// Which; by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// The Python that runs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// Rounds in which each is timed, behind one that warms up; by default all. Its images are judged as they are:
    /// fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<usize>,
}

impl Peers {
    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.names.clone().unwrap_or_else(|| PEERS.map(str::to_owned).to_vec())
    }
}

/// `[[point]]`: a point besides the product. What it does not say is the first of the plan's list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PointTable {
    /// As in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// As in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solver: Option<String>,
    /// As in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// As in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    /// As in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<String>,
    /// As in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
    /// As in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// As in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
}

/// `[score]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Score {
    /// The front that points are scored against.
    pub reference: String,
}

impl Default for Score {
    fn default() -> Self {
        Self { reference: "fewer-steps".into() }
    }
}

fn default_solver() -> Vec<String> {
    vec!["dpm-solver++2m".into()]
}

fn default_exit() -> Vec<String> {
    vec!["full".into()]
}

fn default_guidance() -> Vec<f64> {
    vec![1.0]
}

fn default_batch() -> Vec<usize> {
    vec![16]
}

fn default_dtype() -> Vec<String> {
    vec!["f32".into()]
}

fn default_labels() -> Labels {
    Labels::Uniform
}

fn default_error_images() -> usize {
    64
}

impl Plan {
    /// Reads and checks a plan.
    ///
    /// # Errors
    /// Not readable, not TOML, an unknown key, or a contradiction.
    pub fn read(file: &Path) -> Result<Self, PlanError> {
        let text =
            std::fs::read_to_string(file).map_err(|source| PlanError::Read { file: file.into(), source })?;
        Self::parse(&text)
    }

    /// A plan from its text.
    ///
    /// # Errors
    /// Not TOML, an unknown key, or a contradiction.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        plan_keys::check(&text.parse()?)?;
        let plan: Plan = toml::from_str(text)?;
        plan.check()?;
        Ok(plan)
    }

    /// How many threads it runs on.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}
