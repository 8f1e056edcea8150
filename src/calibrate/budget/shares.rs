//! Which share of evaluations leaves at which exit: exponential weights under a budget.

use serde::Serialize;

use super::check_budget;
use crate::calibrate::CalibrateError;

/// How often each exit is taken, full depth last.
///
/// π_i ∝ exp(−η·error_i − β·cost_i): of all shares of the same mean cost and entropy these have the least mean error. η
/// says how much errors count: at 0 the shares are as even as the budget allows, at ∞ they are two neighbours on the
/// lower hull of (cost, error).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExitShares {
    /// π, summing to 1.
    pub shares: Vec<f64>,
    /// β, such that Σ π_i·cost_i is the budget; negative where the budget exceeds what η alone would spend. None at the
    /// least cost and at the most, where one exit has it all.
    pub beta: Option<f64>,
    /// Σ π_i·cost_i.
    pub cost: f64,
}

/// The most that η times the range of errors may be: beyond, rounding in the exponents shows in the mean cost.
const STEEPEST: f64 = 1e6;

impl ExitShares {
    /// Of `errors` and `costs`, one for each exit and the last for full depth, at a mean cost of `budget`. A budget above
    /// full depth's cost is spent as far as that goes.
    ///
    /// Errors are in any unit, which `eta` ≥ 0 cancels; costs rise from exit to exit.
    ///
    /// # Errors
    /// No exits; lists of two lengths; a number that is not finite; costs that do not rise; η below 0, or above 1e6 over
    /// the range of errors; a budget below the first exit's cost.
    pub fn at_budget(errors: &[f64], costs: &[f64], eta: f64, budget: f64) -> Result<Self, CalibrateError> {
        check(errors, costs, eta)?;
        check_budget(budget)?;
        let (least, most) = (costs[0], costs[costs.len() - 1]);
        if budget < least {
            return Err(CalibrateError::Unreachable { budget, least });
        }
        // In units of the range of costs, so that any β that matters is within the exponents' range.
        let range = most - least;
        let target = (budget - least) / range;
        if !(target > 0.0 && target < 1.0) {
            let at = if budget > least { costs.len() - 1 } else { 0 };
            let shares = (0..costs.len()).map(|i| f64::from(u8::from(i == at))).collect();
            return Ok(Self { shares, beta: None, cost: costs[at] });
        }
        let scaled: Vec<f64> = costs.iter().map(|c| (c - least) / range).collect();
        let spends = |beta: f64| mean(&weights(errors, &scaled, eta, beta), &scaled);
        let beta = root(|beta| spends(beta) > target);
        let shares = weights(errors, &scaled, eta, beta);
        let cost = mean(&shares, costs);
        Ok(Self { shares, beta: Some(beta / range), cost })
    }
}

fn check(errors: &[f64], costs: &[f64], eta: f64) -> Result<(), CalibrateError> {
    let number = |name, expected, got| Err(CalibrateError::Number { name, expected, got });
    if costs.is_empty() || errors.len() != costs.len() {
        return Err(CalibrateError::Exits { name: "errors", expected: costs.len(), got: errors.len() });
    }
    if let Some(&got) = errors.iter().find(|e| !e.is_finite()) {
        return number("an exit's error", "finite", got);
    }
    if let Some(&got) = costs.iter().find(|c| !c.is_finite()) {
        return number("an exit's cost", "finite", got);
    }
    check_rising(costs)?;
    let ends = errors.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &e| (a.min(e), b.max(e)));
    match eta >= 0.0 && eta * (ends.1 - ends.0) <= STEEPEST {
        true => Ok(()),
        false => number("eta", "0 or more, and at most 1e6 over the range of errors", eta),
    }
}

fn check_rising(costs: &[f64]) -> Result<(), CalibrateError> {
    match costs.windows(2).position(|pair| pair[1] <= pair[0]) {
        Some(i) => Err(CalibrateError::Costs { exit: i + 1, cost: costs[i + 1], before: costs[i] }),
        None => Ok(()),
    }
}

/// exp(−η·error − β·cost), made to sum to 1.
fn weights(errors: &[f64], costs: &[f64], eta: f64, beta: f64) -> Vec<f64> {
    let exponents: Vec<f64> = errors.iter().zip(costs).map(|(e, c)| -eta * e - beta * c).collect();
    let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = exponents.iter().map(|x| (x - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

fn mean(shares: &[f64], values: &[f64]) -> f64 {
    shares.iter().zip(values).map(|(p, v)| p * v).sum()
}

/// The least β at which a mean cost, which falls with β from one end of its range to the other, is no longer above.
fn root(above: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (-1.0, 1.0);
    while !above(low) {
        low *= 2.0;
    }
    while above(high) {
        high *= 2.0;
    }
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return high;
        }
        if above(middle) { low = middle } else { high = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(left: &[f64], right: &[f64]) -> bool {
        left.len() == right.len() && left.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    #[test]
    fn two_exits_leave_no_choice() {
        for eta in [0.0, 3.0, 1000.0] {
            let found = ExitShares::at_budget(&[0.5, 0.1], &[0.2, 1.0], eta, 0.4).unwrap();
            assert!(near(&found.shares, &[0.75, 0.25]), "{found:?}");
        }
    }

    #[test]
    fn without_errors_shares_are_as_even_as_the_budget_allows() {
        let even = ExitShares::at_budget(&[0.9, 0.2, 0.1], &[0.2, 0.6, 1.0], 0.0, 0.6).unwrap();
        assert!(near(&even.shares, &[1.0 / 3.0; 3]) && even.beta.unwrap().abs() < 1e-9, "{even:?}");
        // π ∝ 1, r, r² with costs 0, 1, 2 (in units of 0.4 above 0.2) and mean ½: r² − ½·(1 + r + r²) + r = 0.
        let found = ExitShares::at_budget(&[0.0; 3], &[0.2, 0.6, 1.0], 0.0, 0.4).unwrap();
        let r = (13f64.sqrt() - 1.0) / 6.0;
        let sum = 1.0 + r + r * r;
        assert!(near(&found.shares, &[1.0 / sum, r / sum, r * r / sum]), "{found:?}");
        assert!((found.beta.unwrap() + r.ln() / 0.4).abs() < 1e-9);
    }

    #[test]
    fn heavy_errors_leave_two_neighbours_on_the_lower_hull() {
        // The second exit is above the line from the first to the third, the third below that to the last.
        let (errors, costs) = ([1.0, 0.9, 0.2, 0.0], [0.1, 0.2, 0.5, 1.0]);
        let found = ExitShares::at_budget(&errors, &costs, 1000.0, 0.75).unwrap();
        assert!(near(&found.shares, &[0.0, 0.0, 0.5, 0.5]), "{found:?}");
        let cheap = ExitShares::at_budget(&errors, &costs, 1000.0, 0.3).unwrap();
        assert!(near(&cheap.shares, &[0.5, 0.0, 0.5, 0.0]), "{cheap:?}");
    }

    #[test]
    fn ends_of_the_range_are_one_exit() {
        let at = |budget| ExitShares::at_budget(&[0.5, 0.2, 0.0], &[0.2, 0.6, 1.0], 1.0, budget);
        let found = at(0.2).unwrap();
        assert_eq!((found.shares, found.beta, found.cost), (vec![1.0, 0.0, 0.0], None, 0.2));
        for budget in [1.0, 1.5] {
            assert_eq!(at(budget).unwrap().shares, [0.0, 0.0, 1.0]);
        }
        for budget in [0.2 + 1e-16, 1.0 - 2e-16, 0.2 + 1e-9] {
            let found = at(budget).unwrap();
            assert!((found.cost - budget).abs() < 1e-12, "{found:?}");
        }
        assert!(matches!(at(0.1), Err(CalibrateError::Unreachable { least: 0.2, .. })));
        let only = ExitShares::at_budget(&[0.0], &[1.0], 1.0, 1.0).unwrap();
        assert_eq!(only.shares, [1.0]);
    }

    #[test]
    fn bad_numbers_are_refused() {
        let of = |errors: &[f64], costs: &[f64], eta, budget| {
            ExitShares::at_budget(errors, costs, eta, budget).unwrap_err()
        };
        assert!(matches!(of(&[], &[], 1.0, 0.5), CalibrateError::Exits { .. }));
        assert!(matches!(
            of(&[0.1], &[0.5, 1.0], 1.0, 0.5),
            CalibrateError::Exits { expected: 2, got: 1, .. }
        ));
        for costs in [[0.5, 0.5], [1.0, 0.5]] {
            assert!(matches!(of(&[0.1, 0.0], &costs, 1.0, 0.5), CalibrateError::Costs { exit: 1, .. }));
        }
        for (error, cost, eta, budget) in [
            (f64::NAN, 0.5, 1.0, 0.6),
            (0.1, f64::NEG_INFINITY, 1.0, 0.6),
            (0.1, 0.5, -1.0, 0.6),
            (0.1, 0.5, f64::NAN, 0.6),
            (0.1, 0.5, 1e8, 0.6),
            (0.1, 0.5, 1.0, f64::INFINITY),
        ] {
            let refused = of(&[error, 0.0], &[cost, 1.0], eta, budget);
            assert!(matches!(refused, CalibrateError::Number { .. }), "{refused}");
        }
    }
}
