//! Lu et al. 2022, "DPM-Solver", algorithms 1 and 2: single-step solvers of order 2 and 3.
//!
//! A step of order k spans k intervals of the grid and its intermediate evaluations are made at the grid's
//! own nodes, as in Hugging Face's `DPMSolverSinglestepScheduler`, so n steps are n network calls. (The paper
//! places the intermediate times freely; its r is then whatever the grid makes it.)
//!
//! λ of a clean image is infinite, which the noise form cannot bear: its paths end at σ_min.

use super::diffusion::Node;
use super::exponential::{Exponential, Form};
use super::plan::{Combination, Plan, Update};

/// DPM-Solver-2 or -3 (`order` 1–3, clamped to that): noise-prediction form, single-step.
///
/// Within each group of k evaluations the orders rise 1 … k: evaluation j also moves x to the next node, by
/// a step of order j+1 from the group's first node. A remainder at the end is a shorter group.
pub fn dpm_solver(path: &[Node], order: usize) -> Plan {
    single_step(Form::Noise, path, order)
}

/// DPM-Solver++ 2S or 3S (`order` 1–3, clamped to that; Lu et al. 2022b, algorithm 1): data-prediction form,
/// single-step.
///
/// Where the path ends at the image itself the last step has order 1.
pub fn dpm_solver_pp_single(path: &[Node], order: usize) -> Plan {
    single_step(Form::Data, path, order)
}

fn single_step(form: Form, path: &[Node], order: usize) -> Plan {
    let (m, order) = (form.value(), order.clamp(1, 3));
    Plan::one_call_per_step(path, |e| {
        let k = if path[e + 1] == Node::CLEAN { 1 } else { e % order + 1 };
        let first = e + 1 - k;
        let (s, t) = (path[first], path[e + 1]);
        let step = Exponential::new(form, s, t);
        let next = Combination::new().x(first, step.ratio).plus(m, first, -step.scale * step.phi_1());
        if k == 1 {
            return Update::to(next);
        }
        // D1 = (m_e − m_first)/r0: the midpoint rule at order 2, φ_2 at order 3.
        let r0 = (path[e].lambda() - s.lambda()) / (t.lambda() - s.lambda());
        let phi = if k == 2 { 0.5 * step.phi_1() } else { step.phi_2() };
        let w = -step.scale * phi / r0;
        Update::to(next.plus(m, e, w).plus(m, first, -w))
    })
}
