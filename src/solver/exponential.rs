//! One step of the exact solution in log-SNR, which DPM-Solver, DPM-Solver++ and UniPC share.
//!
//! With λ = ln(α/σ) and h = λ_t − λ_s the diffusion ODE is solved by (Lu et al. 2022, proposition 3.1, and
//! Lu et al. 2022b, proposition 4.1)
//!
//! noise form: `x_t = α_t/α_s · x_s − σ_t · Σ_k φ_k(h)·ε⁽ᵏ⁾`,
//! data form:  `x_t = σ_t/σ_s · x_s − α_t · Σ_k φ_k(−h)·x0⁽ᵏ⁾`,
//!
//! where ε⁽ᵏ⁾ stands for the k-th derivative, estimated by differences that each solver chooses. So the two
//! forms are one formula, with (α, σ, h) in one and (σ, α, −h) in the other.

use super::diffusion::Node;
use super::plan::Value;

/// What is treated as nearly constant over a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The predicted noise (DPM-Solver).
    Noise,
    /// The predicted image (DPM-Solver++, UniPC).
    Data,
}

impl Form {
    /// The predictions that this form combines.
    pub fn value(self) -> Value {
        match self {
            Form::Noise => Value::Eps,
            Form::Data => Value::X0,
        }
    }
}

/// The coefficients of a step from s to t.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exponential {
    /// What x_s is multiplied by.
    pub ratio: f64,
    /// What the sum over φ is multiplied by, subtracted.
    pub scale: f64,
    /// h in the noise form, −h in the data form; −∞ for a data step to [`Node::CLEAN`].
    pub hh: f64,
}

impl Exponential {
    pub fn new(form: Form, s: Node, t: Node) -> Self {
        let h = t.lambda() - s.lambda();
        match form {
            Form::Noise => Self { ratio: t.alpha / s.alpha, scale: t.sigma, hh: h },
            Form::Data => Self { ratio: t.sigma / s.sigma, scale: t.alpha, hh: -h },
        }
    }

    /// `e^hh − 1`, the weight of the value itself.
    pub fn phi_1(&self) -> f64 {
        self.hh.exp_m1()
    }

    /// `(e^hh − 1)/hh − 1`, the weight of the first derivative per unit of h.
    pub fn phi_2(&self) -> f64 {
        self.phi_1() / self.hh - 1.0
    }

    /// `(e^hh − 1 − hh)/hh² − ½`, the weight of the second derivative per unit of h².
    pub fn phi_3(&self) -> f64 {
        (self.phi_1() - self.hh) / self.hh.powi(2) - 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_agree_where_the_prediction_does_not_change() {
        // x = α·x0 + σ·ε with x0 and ε held fixed: both forms must give α_t·x0 + σ_t·ε.
        let node = |a: f64| Node { t: 0.0, alpha: a.sqrt(), sigma: (1.0 - a).sqrt() };
        let (s, t, x0, eps) = (node(0.2), node(0.7), 0.3, -1.1);
        let x = s.alpha * x0 + s.sigma * eps;
        let exact = t.alpha * x0 + t.sigma * eps;
        for (form, m) in [(Form::Noise, eps), (Form::Data, x0)] {
            let step = Exponential::new(form, s, t);
            assert!((step.ratio * x - step.scale * step.phi_1() * m - exact).abs() < 1e-14, "{form:?}");
        }
        let end = Exponential::new(Form::Data, s, Node::CLEAN);
        assert_eq!((end.ratio, -end.scale * end.phi_1()), (0.0, 1.0));
    }
}
