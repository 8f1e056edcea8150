//! Ho et al. 2020, "Denoising Diffusion Probabilistic Models", algorithm 2 and eq. 7: ancestral sampling.

use serde::{Deserialize, Serialize};

use super::diffusion::Node;
use super::plan::{Combination, Noise, Plan, Update};

/// The variance of the reverse step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variance {
    /// The posterior's, `β̃ = σ_t²/σ_s²·β`.
    FixedSmall,
    /// `β`.
    FixedLarge,
    /// Between the two, where the network says (Nichol & Dhariwal 2021, eq. 15); it must have 2C outputs.
    LearnedRange,
}

/// `x_t = (α_t·β/σ_s²)·x0 + ((α_s/α_t)·σ_t²/σ_s²)·x_s + noise`, with `β = 1 − ᾱ_s/ᾱ_t` of the step s → t.
///
/// The last step adds no noise. Hugging Face's adds some unless that step starts at t = 0.
pub fn ddpm(path: &[Node], variance: Variance) -> Plan {
    Plan::one_call_per_step(path, |e| {
        let (s, t) = (path[e], path[e + 1]);
        let shrink = s.alpha / t.alpha;
        let beta = 1.0 - shrink.powi(2);
        let kept = (t.sigma / s.sigma).powi(2);
        let posterior = (kept * beta).max(1e-20); // its logarithm is taken
        let noise = match variance {
            _ if e + 2 == path.len() => Noise::None,
            Variance::FixedSmall => Noise::fixed(posterior.sqrt()),
            Variance::FixedLarge => Noise::fixed(beta.sqrt()),
            Variance::LearnedRange => Noise::Learned { log_min: posterior.ln(), log_max: beta.ln() },
        };
        let next = Combination::new().x0(e, t.alpha * beta / s.sigma.powi(2)).x(e, shrink * kept);
        Update { correct: None, next, noise }
    })
}
