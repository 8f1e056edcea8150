//! A cost met on average, as EERO sets out to (Valade et al. 2024, arXiv 2402.03779).
//!
//! Scores are uncertainties: an image leaves where its score is *below* the threshold. Of a certainty take one minus it.
//! A cost is a share of full depth's. Two forms:
//!
//! - [`one_threshold`] for all exits and times, by the cost that is measured with it;
//! - a threshold for each exit: [`ExitShares`] says what share of evaluations leaves where, by exponential weights, and
//!   [`exit_thresholds`] turns that into quantiles of the scores.
//!
//! A budget is met on the calibration images, and on new ones as well as the sample mean is; nothing is promised.

mod one_threshold;
mod shares;
mod thresholds;

use std::ops::RangeInclusive;

use super::CalibrateError;

pub use one_threshold::{AtBudget, Tried, one_threshold};
pub use shares::ExitShares;
pub use thresholds::{exit_thresholds, shares_leaving};

/// Thresholds that a policy takes: finite, the lower end first.
fn check_range(range: &RangeInclusive<f64>) -> Result<(), CalibrateError> {
    let end = |name, expected, got| Err(CalibrateError::Number { name, expected, got });
    match (*range.start(), *range.end()) {
        (low, _) if !low.is_finite() => end("the lowest threshold", "finite", low),
        (low, high) if !(high.is_finite() && high > low) => {
            end("the highest threshold", "finite and above the lowest", high)
        }
        _ => Ok(()),
    }
}

/// A score within the thresholds' range; NaN is not.
fn check_scores<'a>(
    scores: impl IntoIterator<Item = &'a f64>,
    range: &RangeInclusive<f64>,
) -> Result<(), CalibrateError> {
    let outside = scores.into_iter().enumerate().find(|(_, score)| !range.contains(score));
    match outside {
        Some((index, &got)) => {
            Err(CalibrateError::Score { index, got, low: *range.start(), high: *range.end() })
        }
        None => Ok(()),
    }
}

fn check_budget(budget: f64) -> Result<(), CalibrateError> {
    match budget.is_finite() {
        true => Ok(()),
        false => {
            Err(CalibrateError::Number { name: "the budget", expected: "a finite mean cost", got: budget })
        }
    }
}

/// A threshold below which is `below` and not `above`, halfway where there is room.
fn between(below: f64, above: f64) -> f64 {
    let middle = below + (above - below) / 2.0;
    if middle > below { middle } else { above }
}
