//! Song et al. 2021, "Denoising Diffusion Implicit Models", eq. 12 and 16: DDIM with stochasticity η.

use super::diffusion::Node;
use super::plan::{Combination, Noise, Plan, Update};

/// `x_t = α_t·x0 + √(σ_t² − s²)·ε + s·z`, where `s = η·(σ_t/σ_s)·√(1 − ᾱ_s/ᾱ_t)` for the step s → t.
///
/// η = 0 is deterministic, η = 1 has the variance of DDPM's posterior. ε is the prediction's, which is
/// re-derived from a clipped x0 where there is one (`use_clipped_model_output` in Hugging Face's terms).
pub fn ddim(path: &[Node], eta: f64) -> Plan {
    Plan::one_call_per_step(path, |e| {
        let (s, t) = (path[e], path[e + 1]);
        let std = eta * (t.sigma / s.sigma) * (1.0 - (s.alpha / t.alpha).powi(2)).max(0.0).sqrt();
        let direction = (t.sigma.powi(2) - std.powi(2)).max(0.0).sqrt();
        let next = Combination::new().x0(e, t.alpha).eps(e, direction);
        Update { correct: None, next, noise: Noise::fixed(std) }
    })
}
