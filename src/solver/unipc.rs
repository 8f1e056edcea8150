//! Zhao et al. 2023, "UniPC": UniP-p and UniC-p in B(h) form, multistep, predicting data.
//!
//! The corrector costs no network call: the prediction that evaluation e makes anyway revises the x_e it was
//! made from, and the predictor goes on from there. Orders follow Hugging Face's `UniPCMultistepScheduler`
//! with `lower_order_final`: order p where p predictions and p remaining steps exist.

use serde::{Deserialize, Serialize};

use super::diffusion::Node;
use super::exponential::{Exponential, Form};
use super::plan::{Combination, Noise, Plan, Update};

/// The function B(h) that the paper leaves free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BhType {
    /// `B(h) = h`.
    Bh1,
    /// `B(h) = e^h − 1`.
    Bh2,
}

/// UniPC of `order` 1–3, clamped to that.
pub fn unipc(path: &[Node], order: usize, bh: BhType) -> Plan {
    let (steps, order) = (path.len().saturating_sub(1), order.clamp(1, 3));
    let order_at = |e: usize| order.min(steps - e).min(e + 1);
    Plan::one_call_per_step(path, |e| Update {
        correct: (e > 0).then(|| step_to(path, e, order_at(e - 1), bh, true)),
        next: step_to(path, e + 1, order_at(e), bh, false),
        noise: Noise::None,
    })
}

/// The step of order p from `path[to − 1]` to `path[to]`:
/// `x_t = ratio·x − scale·(φ_1·m_0 + B·Σ_k ρ_k·(m_k − m_0)/r_k)`, m_k being the prediction k steps before
/// m_0 and, for the corrector, also the one at `to` itself with r = 1.
fn step_to(path: &[Node], to: usize, p: usize, bh: BhType, corrector: bool) -> Combination {
    let e = to - 1;
    let step = Exponential::new(Form::Data, path[e], path[to]);
    let sum = Combination::new().x(e, step.ratio).x0(e, -step.scale * step.phi_1());
    let h = path[to].lambda() - path[e].lambda();
    let mut points: Vec<(usize, f64)> =
        (1..p).map(|k| (e - k, (path[e - k].lambda() - path[e].lambda()) / h)).collect();
    if corrector {
        points.push((to, 1.0));
    }
    if points.is_empty() {
        return sum; // order 1: B(h) is not used, and may be infinite
    }
    let b_h = match bh {
        BhType::Bh1 => step.hh,
        BhType::Bh2 => step.phi_1(),
    };
    let r: Vec<f64> = points.iter().map(|(_, r)| *r).collect();
    let rho = if r.len() == 1 { vec![0.5] } else { rho(&step, b_h, &r) };
    points.iter().zip(rho).fold(sum, |sum, (&(at, r), rho)| {
        let w = -step.scale * b_h * rho / r;
        sum.x0(at, w).x0(e, -w)
    })
}

/// Solves `Σ_k r_k^i·ρ_k = (i+1)!·φ_{i+2}(hh)/B(h)`, i = 0 … n−1, the paper's `R_p(h)·a_p = φ_p(h)/B(h)`.
///
/// A single ρ is ½ instead, to which the exact solution tends as h → 0 (the paper's degenerate case).
fn rho(step: &Exponential, b_h: f64, r: &[f64]) -> Vec<f64> {
    let mut factorial = 1.0;
    let rows = (0..r.len()).map(|i| {
        factorial *= (i + 1) as f64;
        let right = step.phi(i + 2) * factorial / b_h;
        r.iter().map(|r| r.powi(i as i32)).chain([right]).collect()
    });
    solve(rows.collect())
}

/// Gauss–Jordan elimination with row pivoting of n rows of n coefficients and a right-hand side.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let n = rows.len();
    for column in 0..n {
        let pivot = (column..n).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()));
        rows.swap(column, pivot.unwrap_or(column));
        let top = rows[column].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(i, _)| *i != column) {
            let factor = row[column] / top[column];
            row.iter_mut().zip(&top).for_each(|(a, b)| *a -= factor * b);
        }
    }
    rows.iter().enumerate().map(|(i, row)| row[n] / row[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_systems_are_solved() {
        let x = solve(vec![vec![0.0, 2.0, 1.0, 5.0], vec![1.0, 1.0, 1.0, 3.0], vec![1.0, -1.0, 2.0, 0.0]]);
        // 2y + z = 5, x + y + z = 3, x − y + 2z = 0.
        for (row, b) in [([0.0, 2.0, 1.0], 5.0), ([1.0, 1.0, 1.0], 3.0), ([1.0, -1.0, 2.0], 0.0)] {
            let sum: f64 = row.iter().zip(&x).map(|(a, x)| a * x).sum();
            assert!((sum - b).abs() < 1e-12, "{x:?}");
        }
    }

    /// As h → 0 the right-hand sides tend to 1/(i+2): with r = (−1, 1) that gives ρ = (1/12, 5/12).
    #[test]
    fn the_shortest_steps_have_the_weights_of_adams_and_moulton() {
        for hh in [-1e-3, -1e-6, -1e-9, -1e-12] {
            let step = Exponential { ratio: 1.0, scale: 1.0, hh };
            for b_h in [hh, step.phi_1()] {
                let rho = rho(&step, b_h, &[-1.0, 1.0]);
                let gap = (rho[0] - 1.0 / 12.0).abs().max((rho[1] - 5.0 / 12.0).abs());
                assert!(gap < hh.abs() + 1e-15, "{hh}: {rho:?}");
            }
        }
    }
}
