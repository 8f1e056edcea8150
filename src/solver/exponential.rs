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

// Where φ is summed as a series, and how many terms after the first then reach the precision of f64.
const SERIES_BELOW: f64 = 0.1;
const TERMS: usize = 8;

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
        self.phi(2)
    }

    /// `(e^hh − 1 − hh)/hh² − ½`, the weight of the second derivative per unit of h².
    pub fn phi_3(&self) -> f64 {
        self.phi(3)
    }

    /// `Σ_{j≥1} hh^j/(j+k−1)!`, the weight of the (k−1)-th derivative per unit of h^(k−1), k ≥ 1.
    pub fn phi(&self, k: usize) -> f64 {
        let z = self.hh;
        if z.abs() < SERIES_BELOW {
            let tail = (k + 1..=k + TERMS).rev().fold(1.0, |tail, n| 1.0 + z / n as f64 * tail);
            return (1..=k).fold(z, |first, n| first / n as f64) * tail;
        }
        // φ_{k+1} = φ_k/z − 1/k!, a difference of nearly equal numbers where z is small.
        let mut inverse_factorial = 1.0;
        (1..k).fold(z.exp_m1(), |phi, n| {
            inverse_factorial /= n as f64;
            phi / z - inverse_factorial
        })
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
        assert_eq!((end.phi_2(), end.phi_3()), (-1.0, -0.5));
        assert_eq!((end.ratio, -end.scale * end.phi_1()), (0.0, 1.0));
    }

    /// The series summed in rational arithmetic.
    #[test]
    fn phi_keeps_its_digits_however_short_the_step() {
        let exact = [
            (
                1e-6,
                [1.0000005000001665e-6, 5.000001666667083e-7, 1.6666670833334166e-7, 4.166667500000139e-8],
            ),
            (
                -0.03,
                [-0.02955446645149182, -0.014851118283605897, -0.004962723879803408, -0.0012425373398863898],
            ),
            (0.0999, [0.10506040650951046, 0.05165572081592052, 0.01707428244164684, 0.004247071487956356]),
            (-0.7, [-0.5034146962085905, -0.28083614827344217, -0.0988055024665112, -0.02551594885736496]),
        ];
        for (hh, values) in exact {
            let step = Exponential { ratio: 1.0, scale: 1.0, hh };
            for (k, exact) in (1..).zip(values) {
                let gap = (step.phi(k) - exact).abs() / exact.abs();
                assert!(gap < if hh == -0.7 { 1e-13 } else { 1e-15 }, "φ_{k}({hh}): off by {gap:.1e}");
            }
            assert_eq!((step.phi_2(), step.phi_3()), (step.phi(2), step.phi(3)));
        }
    }
}
