//! A Beta distribution, and how it is fitted to part of the data.

use serde::Serialize;

use super::gamma::{digamma, ln_gamma, trigamma};

/// The largest α + β: a group of equal confidences would be infinitely narrow.
const NARROWEST: f64 = 1e4;
/// The least α or β.
const BROADEST: f64 = 1e-3;

/// A Beta distribution, of density c^(α−1)·(1 − c)^(β−1) / B(α, β).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Beta {
    /// α > 0.
    pub alpha: f64,
    /// β > 0.
    pub beta: f64,
}

impl Beta {
    /// α / (α + β).
    pub fn mean(&self) -> f64 {
        self.alpha / (self.alpha + self.beta)
    }

    /// ln B(α, β).
    pub(super) fn ln_normalizer(&self) -> f64 {
        ln_gamma(self.alpha) + ln_gamma(self.beta) - ln_gamma(self.alpha + self.beta)
    }

    /// The mean log-density over data of mean ln c and ln(1 − c) `logs`.
    fn mean_ln_density(&self, logs: [f64; 2]) -> f64 {
        (self.alpha - 1.0) * logs[0] + (self.beta - 1.0) * logs[1] - self.ln_normalizer()
    }

    /// Of this mean and variance.
    pub(super) fn of_moments(mean: f64, variance: f64) -> Self {
        let both = (mean * (1.0 - mean) / variance - 1.0).clamp(2.0 * BROADEST, NARROWEST);
        Self { alpha: (mean * both).max(BROADEST), beta: ((1.0 - mean) * both).max(BROADEST) }
    }

    /// No narrower than may be, with the same mean.
    fn broadened(self) -> Self {
        let scale = (NARROWEST / (self.alpha + self.beta)).min(1.0);
        Self { alpha: self.alpha * scale, beta: self.beta * scale }
    }

    /// A likelier one for data of mean ln c and ln(1 − c) `logs`: a step of Newton's on the mean log-density, which is
    /// concave, halved until that rises. Itself where nothing does.
    pub(super) fn climbed(self, logs: [f64; 2]) -> Self {
        let both = self.alpha + self.beta;
        let slope =
            [logs[0] - digamma(self.alpha) + digamma(both), logs[1] - digamma(self.beta) + digamma(both)];
        // Minus the second derivatives: [[a, −s], [−s, b]].
        let (s, a, b) = (trigamma(both), trigamma(self.alpha), trigamma(self.beta));
        let (a, b) = (a - s, b - s);
        let determinant = a * b - s * s;
        let step = [(b * slope[0] + s * slope[1]) / determinant, (a * slope[1] + s * slope[0]) / determinant];
        let before = self.mean_ln_density(logs);
        (0..50)
            .map(|halvings| 0.5f64.powi(halvings))
            .map(|t| Self { alpha: self.alpha + t * step[0], beta: self.beta + t * step[1] })
            .filter(|next| next.alpha >= BROADEST && next.beta >= BROADEST)
            .map(Self::broadened)
            .find(|next| next.mean_ln_density(logs) > before)
            .unwrap_or(self)
    }
}
