//! Karras et al. 2022, "Elucidating the Design Space", the Euler half of algorithm 1; k-diffusion's `sample_euler`.
//!
//! These solvers live in the variance-exploding scale y = x/α with noise level σ̂ = σ/α, where the ODE is
//! `dy/dσ̂ = ε`. Since y = x0 + σ̂·ε, a step there needs no x at all: to reach the level σ̂' along ε is to
//! go to x0 + σ̂'·ε, and x is α times that.

use super::diffusion::Node;
use super::plan::{Combination, Noise, Plan, Update};

/// Euler's method: `y_t = y_s + (σ̂_t − σ̂_s)·ε`, which in terms of x is DDIM with η = 0.
pub fn euler(path: &[Node]) -> Plan {
    Plan::one_call_per_step(path, |e| {
        let t = path[e + 1];
        Update::to(Combination::new().x0(e, t.alpha).eps(e, t.sigma))
    })
}

/// Euler's method with ancestral noise (k-diffusion's `sample_euler_ancestral`, η = 1): down to σ̂_down, then
/// up to σ̂_t with fresh noise of `σ̂_up = σ̂_t·√(1 − (σ̂_t/σ̂_s)²)`, `σ̂_down² = σ̂_t² − σ̂_up²`.
pub fn euler_ancestral(path: &[Node]) -> Plan {
    Plan::one_call_per_step(path, |e| {
        let (s, t) = (path[e], path[e + 1]);
        let ratio = t.sigma_ve() / s.sigma_ve();
        let up = t.sigma_ve() * (1.0 - ratio.powi(2)).max(0.0).sqrt();
        let down = t.sigma_ve() * ratio; // √(σ̂_t² − σ̂_up²)
        let next = Combination::new().x0(e, t.alpha).eps(e, t.alpha * down);
        Update { correct: None, next, noise: Noise::fixed(t.alpha * up) }
    })
}
