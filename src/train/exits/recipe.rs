//! What is trained at the exits, and how.

use serde::{Deserialize, Serialize};

use crate::exit::Schedule;
use crate::learned::{EstimatorKind, HeadKind, Target};

/// Which tensors change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tune {
    /// The exits' own: the backbone stays as it is, bit for bit.
    Exits,
    /// The backbone too.
    All,
}

/// How exits are trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "name")]
pub enum Method {
    /// ASE (Moon et al. 2024, arXiv 2408.05927): the noise loss of the state at the depth that a schedule gives,
    /// λ(t)·‖g_{E(t)} − ε‖², with the time embedder frozen.
    Ase {
        /// E.
        schedule: Schedule,
    },
    /// DeeDiff (Tang et al., arXiv 2309.17074): L_simple + λ·L_u + β·L_UAL.
    Deediff(DeediffTerms),
    /// Gates, which learn from a table of per-exit errors which exit costs least.
    Gate {
        /// λ: what a whole network's worth of blocks costs, in units of the error.
        price: f64,
        /// Width of the gates' hidden layer.
        hidden: usize,
        /// Where the table is from.
        table: GateTable,
    },
}

/// The terms of DeeDiff's loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DeediffTerms {
    /// Which of the two published estimators.
    pub estimator: EstimatorKind,
    /// The error that they learn to tell.
    pub target: Target,
    /// What the exits' outputs learn: ε, or g_N of the same pass.
    pub teacher: Target,
    /// λ.
    pub lambda: f64,
    /// β.
    pub beta: f64,
    /// Whether L_UAL's weights carry gradients, as printed in the paper; then raising u lowers the loss.
    pub ual_grad: bool,
    /// Exits that take part in a step, in turn; their losses are scaled up to stand for all.
    pub exits_per_step: usize,
}

/// Where gates have their table of per-exit errors from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateTable {
    /// Every step's images make one (JEI-DNN, Regol et al. 2024, arXiv 2310.09163): heads learn together with the
    /// gates, from the images that would leave there.
    Joint,
    /// It is recorded once, over so many images, as `errors.safetensors` of the run (ECO-M2F, Yao et al. 2024): heads
    /// stay as they are, and another price takes seconds.
    Recorded {
        /// Images in it.
        images: usize,
    },
}

/// The exits of a run, beside the [`Recipe`](crate::train::Recipe).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExitsRecipe {
    /// Method and its own settings.
    pub method: Method,
    /// What changes.
    pub tune: Tune,
    /// Depths of the exits, ascending, below N.
    pub points: Vec<usize>,
    /// What stands before the final layer.
    pub heads: HeadKind,
    /// What the learning rate is multiplied by for the exits' own tensors, which start from nothing.
    pub haste: f64,
}
