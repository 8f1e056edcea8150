//! A threshold for each exit, as the quantile of the scores there of whatever has not left before.

use std::ops::RangeInclusive;

use ndarray::ArrayView3;

use super::{between, check_range, check_scores};
use crate::calibrate::CalibrateError;

/// Thresholds at which `shares` of all evaluations leave at each exit.
///
/// `scores` is `[times, exits, images]`, within `range`, the lowest and highest thresholds that the policy takes; `shares`
/// has one for each exit and one more for full depth. At exit i, the threshold is such that with those gone before
/// ⌈N·(π_0 + … + π_i)⌉ of the N evaluations have left, or more where scores are equal. So the mean cost on these scores
/// is at most Σ π_i·cost_i, and where no two are equal less than 1/N of the range of costs below it. An exit that is to
/// let none go has the lowest threshold; one that is to let all go, or that none comes to, the highest. A score at the
/// highest threshold stays.
///
/// # Errors
/// No evaluations; a score outside the range; an infinite range; shares that are not P + 1 numbers from 0 on that sum
/// to 1.
pub fn exit_thresholds(
    scores: ArrayView3<f64>,
    shares: &[f64],
    range: RangeInclusive<f64>,
) -> Result<Vec<f64>, CalibrateError> {
    check_range(&range)?;
    check_scores(scores.iter(), &range)?;
    let (times, exits, images) = scores.dim();
    check_shares(shares, exits + 1)?;
    let evaluations = times * images;
    if evaluations == 0 {
        return Err(CalibrateError::TooFew { least: 1, got: 0 });
    }
    let mut staying: Vec<(usize, usize)> =
        (0..times).flat_map(|time| (0..images).map(move |image| (time, image))).collect();
    let (mut thresholds, mut share) = (Vec::with_capacity(exits), 0.0);
    for exit in 0..exits {
        share += shares[exit];
        // Sums of shares are rounded, too: 3 + 1e-12 is 3.
        let gone = (share * evaluations as f64 - 1e-9 * evaluations as f64).ceil().max(0.0) as usize;
        let leave = gone.saturating_sub(evaluations - staying.len());
        let mut here: Vec<f64> = staying.iter().map(|&(time, image)| scores[[time, exit, image]]).collect();
        here.sort_by(f64::total_cmp);
        let threshold = below_which(&here, leave, &range);
        staying.retain(|&(time, image)| scores[[time, exit, image]] >= threshold);
        thresholds.push(threshold);
    }
    Ok(thresholds)
}

/// The threshold that the first `leave` of the sorted scores are below, and their equals.
fn below_which(sorted: &[f64], leave: usize, range: &RangeInclusive<f64>) -> f64 {
    if leave == 0 && !sorted.is_empty() {
        return *range.start();
    }
    let Some(&last) = leave.checked_sub(1).and_then(|i| sorted.get(i)) else { return *range.end() };
    match sorted.iter().find(|&&score| score > last) {
        Some(&next) => between(last, next),
        None => *range.end(),
    }
}

/// The share of evaluations that leaves at each exit by these thresholds, the last for full depth; `scores` is
/// `[times, exits, images]`.
///
/// # Errors
/// There is not one threshold for each exit; no evaluations.
pub fn shares_leaving(scores: ArrayView3<f64>, thresholds: &[f64]) -> Result<Vec<f64>, CalibrateError> {
    let (times, exits, images) = scores.dim();
    if thresholds.len() != exits {
        let got = thresholds.len();
        return Err(CalibrateError::Exits { name: "thresholds", expected: exits, got });
    }
    if times * images == 0 {
        return Err(CalibrateError::TooFew { least: 1, got: 0 });
    }
    let mut leaving = vec![0_u64; exits + 1];
    for time in 0..times {
        for image in 0..images {
            let passes = |&exit: &usize| scores[[time, exit, image]] < thresholds[exit];
            leaving[(0..exits).find(passes).unwrap_or(exits)] += 1;
        }
    }
    Ok(leaving.iter().map(|&n| n as f64 / (times * images) as f64).collect())
}

fn check_shares(shares: &[f64], expected: usize) -> Result<(), CalibrateError> {
    if shares.len() != expected {
        return Err(CalibrateError::Exits { name: "shares", expected, got: shares.len() });
    }
    if let Some(&got) = shares.iter().find(|&&share| share.is_nan() || share < 0.0) {
        return Err(CalibrateError::Number { name: "a share", expected: "0 or more", got });
    }
    let sum: f64 = shares.iter().sum();
    match (sum - 1.0).abs() < 1e-6 {
        true => Ok(()),
        false => Err(CalibrateError::Number { name: "the sum of shares", expected: "1", got: sum }),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    /// Two times, two exits, two images: exit 0 sees 0.1, 0.4 and 0.2, 0.8; exit 1 sees 0.3, 0.5 and 0.6, 0.1.
    fn scores() -> Array3<f64> {
        Array3::from_shape_vec((2, 2, 2), vec![0.1, 0.4, 0.3, 0.5, 0.2, 0.8, 0.6, 0.1]).unwrap()
    }

    fn thresholds(shares: [f64; 3]) -> Vec<f64> {
        exit_thresholds(scores().view(), &shares, 0.0..=1.0).unwrap()
    }

    #[test]
    fn a_quantile_is_of_those_that_are_still_there() {
        // 0.1 and 0.2 leave; of 0.5 and 0.1, behind them, 0.1 does.
        let found = thresholds([0.5, 0.25, 0.25]);
        assert!((found[0] - 0.3).abs() < 1e-15 && (found[1] - 0.3).abs() < 1e-15, "{found:?}");
        assert_eq!(shares_leaving(scores().view(), &found).unwrap(), [0.5, 0.25, 0.25]);
    }

    #[test]
    fn parts_of_an_evaluation_are_rounded_up_once() {
        // ⌈0.4⌉ = 1 at the first, ⌈0.8⌉ = 1 by the second.
        let found = thresholds([0.1, 0.1, 0.8]);
        assert_eq!(shares_leaving(scores().view(), &found).unwrap(), [0.25, 0.0, 0.75]);
        assert_eq!(found[1], 0.0);
    }

    #[test]
    fn all_or_none_leave_by_the_ends() {
        assert_eq!(thresholds([0.0, 0.0, 1.0]), [0.0, 0.0]);
        assert_eq!(thresholds([1.0, 0.0, 0.0]), [1.0, 1.0]);
        assert_eq!(thresholds([0.0, 1.0, 0.0]), [0.0, 1.0]);
        // Ten tenths are one.
        let tenths = [0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1, 0.1 + 0.1, 0.0];
        assert_eq!(shares_leaving(scores().view(), &thresholds(tenths)).unwrap()[2], 0.0);
    }

    #[test]
    fn bad_numbers_are_refused() {
        let of = |shares: &[f64]| exit_thresholds(scores().view(), shares, 0.0..=1.0).unwrap_err();
        assert!(matches!(of(&[0.5, 0.5]), CalibrateError::Exits { expected: 3, got: 2, .. }));
        for shares in [[0.5, 0.5, 0.5], [1.5, -0.5, 0.0], [f64::NAN, 0.5, 0.5]] {
            assert!(matches!(of(&shares), CalibrateError::Number { .. }));
        }
        let wide = exit_thresholds(scores().view(), &[0.5, 0.25, 0.25], 0.0..=0.7);
        assert!(matches!(wide, Err(CalibrateError::Score { index: 5, got: 0.8, .. })));
        let none = exit_thresholds(Array3::zeros((0, 2, 3)).view(), &[0.5, 0.25, 0.25], 0.0..=1.0);
        assert!(matches!(none, Err(CalibrateError::TooFew { .. })));
        assert!(matches!(
            shares_leaving(scores().view(), &[0.5]),
            Err(CalibrateError::Exits { expected: 2, got: 1, .. })
        ));
    }
}
