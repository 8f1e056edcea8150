//! `NAME.threshold.json`: a calibrated exit, and all that its calibration holds for.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Promise;
use super::file::{self, FileError, VERSION};
use crate::exit::RunFacts;
use crate::output::{OutputError, write_json};

/// The runs that a calibration holds for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldsFor {
    /// SHA-256 of the weights.
    pub weights_sha256: String,
    /// SHA-256 of the learned exits; none without.
    pub exits_sha256: Option<String>,
    /// The solver.
    pub solver: String,
    /// Its steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance: f64,
    /// Times at which guidance acts; none for all.
    pub guidance_interval: Option<[f64; 2]>,
    /// The tail.
    pub tail: String,
    /// The arithmetic.
    pub dtype: String,
    /// Share of the images that each class has; `none` is unconditional.
    pub labels: BTreeMap<String, f64>,
}

/// How the exit was settled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Settled {
    /// By a mean cost.
    Budget {
        /// What was asked for, a share of full depth's.
        budget: f64,
        /// What the calibration images cost.
        cost: f64,
    },
    /// By a promise on the share of images that err by more.
    Promise {
        /// RMSE to full depth that an image may have, x in [−1, 1].
        max_error: f64,
        /// The promise.
        promise: Promise,
        /// The exits that were tested, from safe to fast.
        tests: Vec<Tested>,
    },
    /// By the group of confident scores.
    BetaMixture {
        /// The posterior that a score must have.
        zeta: f64,
        /// Share of the scores in the confident group.
        share: f64,
    },
}

/// An exit that was tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tested {
    /// The exit.
    pub exit: String,
    /// What it cost.
    pub cost: f64,
    /// Images that erred by more.
    pub failures: u64,
    /// Images in all.
    pub images: u64,
    /// P(Bin(n, α) ≤ failures).
    pub p_value: f64,
    /// Whether it passed.
    pub accepted: bool,
}

/// What was measured on images that the exit was not settled on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnHeldOut {
    /// Images.
    pub images: usize,
    /// Seed of the first.
    pub seed: u64,
    /// Mean cost.
    pub cost: f64,
    /// Their RMSE to full depth, over all numbers.
    pub rmse: f64,
    /// Share of them that err by more than was promised; none without a promise.
    pub failed: Option<f64>,
}

/// A calibrated exit, as in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrated {
    /// The file format's version.
    pub version: u32,
    /// The exit as typed; `full` if nothing passed.
    pub exit: String,
    /// The runs that it holds for.
    pub holds_for: HoldsFor,
    /// How it was settled.
    pub settled: Settled,
    /// The command.
    pub command: String,
    /// Calibration images.
    pub images: usize,
    /// Seed of the first.
    pub seed: u64,
    /// What it came to elsewhere.
    pub held_out: OnHeldOut,
}

impl Calibrated {
    /// The format's version.
    pub const VERSION: u32 = VERSION;

    /// Reads one.
    ///
    /// # Errors
    /// There is no such file, or it is none.
    pub fn read(file: &Path) -> Result<Self, FileError> {
        file::read("threshold", file)
    }

    /// Writes it, all or nothing.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, file: &Path) -> Result<(), OutputError> {
        write_json(file, self)
    }
}

impl HoldsFor {
    /// This run.
    pub fn run(run: &RunFacts) -> Self {
        let everywhere = run.guidance.interval == [0.0, f64::INFINITY];
        let mut labels = BTreeMap::new();
        for class in run.classes {
            let name = class.map_or("none".to_owned(), |class| class.to_string());
            *labels.entry(name).or_insert(0.0) += 1.0 / run.classes.len() as f64;
        }
        Self {
            weights_sha256: run.weights_sha256.into(),
            exits_sha256: run.exits_sha256.map(str::to_owned),
            solver: run.solver.to_string(),
            steps: run.steps,
            guidance: run.guidance.scale,
            guidance_interval: (run.guidance.scale != 1.0 && !everywhere).then_some(run.guidance.interval),
            tail: run.tail.into(),
            dtype: if run.dtype == tch::Kind::BFloat16 { "bf16" } else { "f32" }.into(),
            labels,
        }
    }

    /// The first thing in which a run differs: its name, what it must be and what it is.
    ///
    /// Labels may differ as much as draws at random do: by one image, and three standard deviations more.
    pub fn differs(&self, run: &RunFacts) -> Option<(&'static str, String, String)> {
        let got = Self::run(run);
        let number = |n: f64| n.to_string();
        let interval = |i: Option<[f64; 2]>| i.map_or("all times".into(), |[lo, hi]| format!("[{lo}, {hi}]"));
        let hash = |h: &Option<String>| h.clone().unwrap_or("none".into());
        let start = run.strength.map_or("noise".to_owned(), |s| format!("an image at strength {s}"));
        let drafts = run.verify.map_or("off".to_owned(), |verify| {
            format!("{} steps at a time, tolerance {}", verify.steps, verify.tolerance)
        });
        let pairs = [
            ("weights", self.weights_sha256.clone(), got.weights_sha256.clone()),
            ("learned exits", hash(&self.exits_sha256), hash(&got.exits_sha256)),
            ("the solver", self.solver.clone(), got.solver.clone()),
            ("steps", self.steps.to_string(), got.steps.to_string()),
            ("the guidance scale", number(self.guidance), number(got.guidance)),
            ("guidance", interval(self.guidance_interval), interval(got.guidance_interval)),
            ("the tail", self.tail.clone(), got.tail.clone()),
            ("the dtype", self.dtype.clone(), got.dtype.clone()),
            ("the start", "noise".into(), start),
            ("verify mode", "off".into(), drafts),
        ];
        if let Some(pair) = pairs.into_iter().find(|(_, expected, got)| expected != got) {
            return Some(pair);
        }
        let images = run.classes.len() as f64;
        let names = self.labels.keys().chain(got.labels.keys());
        let odd = names.into_iter().find(|name| {
            let share = |of: &BTreeMap<String, f64>| of.get(*name).copied().unwrap_or(0.0);
            let (expected, got) = (share(&self.labels), share(&got.labels));
            let deviation = (images * expected * (1.0 - expected)).max(0.0).sqrt();
            let spare = if expected == 0.0 { 0.0 } else { 1.0 + 3.0 * deviation };
            (got - expected).abs() * images > spare + 1e-9
        })?;
        let percent = |of: &BTreeMap<String, f64>| {
            let share = of.get(odd).copied().unwrap_or(0.0);
            format!("{:.0} % of class {odd}", 100.0 * share)
        };
        Some(("the labels", percent(&self.labels), percent(&got.labels)))
    }
}
