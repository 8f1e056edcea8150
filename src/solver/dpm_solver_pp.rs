//! Lu et al. 2022b, "DPM-Solver++", algorithm 2: multistep solvers, and their SDE form.
//!
//! The predictions of earlier steps stand in for derivatives, so a step of any order costs one network call.
//! DPM-Solver++ combines predicted images, the multistep form of DPM-Solver predicted noise.
//!
//! Orders follow Hugging Face's `DPMSolverMultistepScheduler`: they rise from 1 as history allows; a step to
//! the image itself has order 1, λ being infinite there; and with `lower_order_final` (their rule: fewer than
//! 15 steps) the last two steps have at most order 2 and 1.

use super::diffusion::Node;
use super::exponential::{Exponential, Form};
use super::plan::{Combination, Noise, Plan, Update, Value};

/// DPM-Solver++ 1, 2M or 3M (`order` 1–3, clamped to that).
pub fn dpm_solver_pp(path: &[Node], order: usize, lower_order_final: bool) -> Plan {
    multistep(Form::Data, path, order, lower_order_final)
}

/// DPM-Solver in multistep form (`order` 1–3, clamped to that); the path ends at σ_min.
pub fn dpm_solver_multistep(path: &[Node], order: usize, lower_order_final: bool) -> Plan {
    multistep(Form::Noise, path, order, lower_order_final)
}

/// SDE-DPM-Solver++ 2M (Lu et al. 2022b, midpoint rule): 2M on the reverse SDE instead of the ODE.
pub fn dpm_solver_pp_sde(path: &[Node], lower_order_final: bool) -> Plan {
    Plan::one_call_per_step(path, |e| {
        let (s, t) = (path[e], path[e + 1]);
        let h = t.lambda() - s.lambda();
        let drift = t.alpha * -(-2.0 * h).exp_m1();
        let mut next = Combination::new().x(e, t.sigma / s.sigma * (-h).exp()).x0(e, drift);
        if order_at(path, e, 2, lower_order_final) == 2 {
            let w = 0.5 * drift * h / (s.lambda() - path[e - 1].lambda());
            next = next.x0(e, w).x0(e - 1, -w);
        }
        let noise = Noise::fixed(t.sigma * (-(-2.0 * h).exp_m1()).sqrt());
        Update { correct: None, next, noise }
    })
}

fn multistep(form: Form, path: &[Node], order: usize, lower_order_final: bool) -> Plan {
    let (m, order) = (form.value(), order.clamp(1, 3));
    Plan::one_call_per_step(path, |e| {
        let (s, t) = (path[e], path[e + 1]);
        let step = Exponential::new(form, s, t);
        let next = Combination::new().x(e, step.ratio).plus(m, e, -step.scale * step.phi_1());
        let h = t.lambda() - s.lambda();
        let r = |i: usize| (path[i + 1].lambda() - path[i].lambda()) / h;
        Update::to(match order_at(path, e, order, lower_order_final) {
            1 => next,
            2 => difference(next, m, e, -step.scale * 0.5 * step.phi_1() / r(e - 1)),
            _ => {
                // D1 = d0 + r0/(r0+r1)·(d0 − d1) and D2 = (d0 − d1)/(r0+r1), each d a difference over its r.
                let (r0, r1) = (r(e - 1), r(e - 2));
                let (w1, w2) = (-step.scale * step.phi_2(), -step.scale * step.phi_3());
                let bend = (w1 * r0 + w2) / (r0 + r1);
                let next = difference(next, m, e, (w1 + bend) / r0);
                difference(next, m, e - 1, -bend / r1)
            }
        })
    })
}

/// Adds `weight · (m_e − m_{e−1})`.
fn difference(sum: Combination, m: Value, e: usize, weight: f64) -> Combination {
    sum.plus(m, e, weight).plus(m, e - 1, -weight)
}

/// The order of the step after evaluation `e`.
fn order_at(path: &[Node], e: usize, order: usize, lower_order_final: bool) -> usize {
    let remaining = path.len() - 1 - e;
    let allowed = if path[e + 1] == Node::CLEAN {
        1
    } else if lower_order_final {
        remaining
    } else {
        order
    };
    order.min(e + 1).min(allowed)
}
