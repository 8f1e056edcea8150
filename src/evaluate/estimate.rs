//! Numbers that say how sure they are.

use serde::{Deserialize, Serialize};

/// A value and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// A number, most often a difference, and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The number as measured.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// The value and the 2.5 % and 97.5 % quantiles of its resamples, interpolated between neighbours; without
    /// resamples both are the value.
    pub(super) fn of_resamples(value: f64, mut resampled: Vec<f64>) -> Self {
        if resampled.is_empty() {
            return Self { value, low: value, high: value };
        }
        resampled.sort_by(f64::total_cmp);
        let quantile = |q: f64| {
            let at = q * (resampled.len() - 1) as f64;
            let (below, share) = (at.floor() as usize, at.fract());
            let above = (below + 1).min(resampled.len() - 1);
            resampled[below] + share * (resampled[above] - resampled[below])
        };
        Self { value, low: quantile(0.025), high: quantile(0.975) }
    }
}
