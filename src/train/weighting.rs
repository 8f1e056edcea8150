//! λ(t): how much the error at a time weighs.

use serde::{Deserialize, Serialize};

use crate::solver::Diffusion;

/// The weight of an image's squared error in ε, by its time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// 1: the L_simple of Ho et al. 2020 (arXiv 2006.11239).
    Uniform,
    /// min(SNR, γ)/SNR with SNR = ᾱ/(1 − ᾱ) (Hang et al. 2023, arXiv 2303.09556).
    MinSnr {
        /// γ.
        gamma: f64,
    },
}

impl Weighting {
    /// λ at time `t`.
    pub fn at(self, t: f64, diffusion: &Diffusion) -> f64 {
        match self {
            Self::Uniform => 1.0,
            Self::MinSnr { gamma } => {
                let node = diffusion.node(t);
                let snr = (node.alpha / node.sigma).powi(2);
                snr.min(gamma) / snr
            }
        }
    }
}
