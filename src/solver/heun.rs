//! Karras et al. 2022, "Elucidating the Design Space", algorithm 1: Heun's second-order method.

use super::diffusion::Node;
use super::plan::{Combination, Evaluation, Plan, Update};

/// Heun's method in the variance-exploding scale (see [`super::euler`]).
///
/// Each step but the last calls the network twice, at its start and at the end that Euler's method
/// predicts, and moves along the mean of the two ε: 2n − 1 evaluations for n steps. The last step is Euler's.
pub fn heun(path: &[Node]) -> Plan {
    let steps = path.len().saturating_sub(1);
    let (mut evaluations, mut updates) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let (s, t, e) = (path[step], path[step + 1], evaluations.len());
        evaluations.push(Evaluation { node: s, step });
        updates.push(Update::to(Combination::new().x0(e, t.alpha).eps(e, t.sigma)));
        if step + 1 < steps {
            // y_t = x0 + σ̂_s·ε + (σ̂_t − σ̂_s)·(ε + ε')/2.
            let (mean, half) = ((t.sigma_ve() + s.sigma_ve()) / 2.0, (t.sigma_ve() - s.sigma_ve()) / 2.0);
            evaluations.push(Evaluation { node: t, step });
            updates.push(Update::to(
                Combination::new().x0(e, t.alpha).eps(e, t.alpha * mean).eps(e + 1, t.alpha * half),
            ));
        }
    }
    Plan::new(evaluations, updates)
}
