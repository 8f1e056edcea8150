//! A threshold read off the confidences themselves: a mixture of two Beta distributions (FREE, Bae et al. 2023, arXiv
//! 2310.05424).
//!
//! Confidences c in (0, 1) are taken to come from two groups, π·Beta(c; α₁, β₁) + (1 − π)·Beta(c; α₀, β₀), of which the
//! one with the higher mean is the confident one. EM finds them; the threshold is the lowest confidence at which the
//! posterior of the confident group exceeds ζ. No label is needed, and nothing is promised: with one group in the data
//! there is a threshold all the same, so look at the shares and means.
//!
//! FREE's release takes one damped round by moments on a fixed start and leaves the shares out of the posterior. Here
//! the M-step climbs the likelihood by Newton's method, so that every round raises it, from three starts until it no
//! longer rises; and the posterior has the shares in it.

use serde::Serialize;

use super::CalibrateError;
use super::beta::Beta;

/// Confidences nearer to 0 or 1 are taken as this near, where a density may be infinite; as in FREE's release.
const EDGE: f64 = 1e-4;
/// A group with fewer images than this is empty.
const EMPTY: f64 = 0.5;
/// Rounds of EM from each start; the likeliest then goes on.
const SHORT: usize = 50;
/// Rounds of EM, at most.
const ROUNDS: usize = 2_000;
/// EM ends where a round raises the mean log-likelihood by less.
const RISE: f64 = 1e-10;

/// Two groups of confidences.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BetaMixture {
    /// π, the share of the confident group, in (0, 1).
    pub share: f64,
    /// The confident group, of the higher mean.
    pub confident: Beta,
    /// The other one.
    pub other: Beta,
    /// Mean log-likelihood of a confidence.
    pub ln_likelihood: f64,
    /// Whether EM came to rest within its rounds.
    pub converged: bool,
}

impl BetaMixture {
    /// Of confidences in [0, 1], in any order; those at the ends are moved in by 1e-4.
    ///
    /// # Errors
    /// Fewer than 2, all the same, or one that is no number from 0 to 1.
    pub fn fit(confidences: &[f64]) -> Result<Self, CalibrateError> {
        if let Some(index) = confidences.iter().position(|c| !(0.0..=1.0).contains(c)) {
            return Err(CalibrateError::Score { index, got: confidences[index], low: 0.0, high: 1.0 });
        }
        if confidences.len() < 2 {
            return Err(CalibrateError::TooFew { least: 2, got: confidences.len() });
        }
        let mut sorted: Vec<f64> = confidences.iter().map(|c| c.clamp(EDGE, 1.0 - EDGE)).collect();
        sorted.sort_by(f64::total_cmp);
        let one_value = || CalibrateError::OneValue { value: confidences[0] };
        let logs: Vec<[f64; 2]> = sorted.iter().map(|c| [c.ln(), (-c).ln_1p()]).collect();
        let starts = [0.25, 0.5, 0.75].into_iter().filter_map(|q| Self::split(&sorted, q));
        let tried = starts.map(|start| start.risen(&logs, SHORT));
        let likeliest = tried.max_by(|a, b| a.ln_likelihood.total_cmp(&b.ln_likelihood));
        Ok(likeliest.ok_or_else(one_value)?.risen(&logs, ROUNDS))
    }

    /// The moments of two groups parted near the quantile `q`; none where all are the same.
    fn split(sorted: &[f64], q: f64) -> Option<Self> {
        let parts = |&n: &usize| sorted[n - 1] < sorted[n];
        let near = ((q * sorted.len() as f64) as usize).clamp(1, sorted.len() - 1);
        let at = (near..sorted.len()).find(parts).or_else(|| (1..near).rev().find(parts))?;
        let (low, high) = sorted.split_at(at);
        let moments = |group: &[f64]| {
            let n = group.len() as f64;
            let mean = group.iter().sum::<f64>() / n;
            Beta::of_moments(mean, group.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / n)
        };
        Some(Self {
            share: high.len() as f64 / sorted.len() as f64,
            confident: moments(high),
            other: moments(low),
            ln_likelihood: f64::NEG_INFINITY,
            converged: false,
        })
    }

    /// EM from here on; `logs` has ln c and ln(1 − c) of each confidence.
    fn risen(mut self, logs: &[[f64; 2]], rounds: usize) -> Self {
        self.ln_likelihood = f64::NEG_INFINITY;
        for _ in 0..rounds {
            let (ln_likelihood, [n, x, y], [m, z, w]) = self.expect(logs);
            self.converged = ln_likelihood - self.ln_likelihood < RISE || n < EMPTY || m < EMPTY;
            self.ln_likelihood = ln_likelihood;
            if self.converged {
                break;
            }
            self.share = n / logs.len() as f64;
            self.confident = self.confident.climbed([x / n, y / n]);
            self.other = self.other.climbed([z / m, w / m]);
        }
        if self.confident.mean() < self.other.mean() {
            std::mem::swap(&mut self.confident, &mut self.other);
            self.share = 1.0 - self.share;
        }
        self
    }

    /// The mean log-likelihood, and for either group the sums of 1, ln c and ln(1 − c) weighted by its posterior.
    fn expect(&self, logs: &[[f64; 2]]) -> (f64, [f64; 3], [f64; 3]) {
        let constants = [
            self.share.ln() - self.confident.ln_normalizer(),
            (1.0 - self.share).ln() - self.other.ln_normalizer(),
        ];
        let (mut ln_likelihood, mut confident, mut other) = (0.0, [0.0; 3], [0.0; 3]);
        for &[x, y] in logs {
            let a = constants[0] + (self.confident.alpha - 1.0) * x + (self.confident.beta - 1.0) * y;
            let b = constants[1] + (self.other.alpha - 1.0) * x + (self.other.beta - 1.0) * y;
            let odds = (b - a).exp();
            let posterior = 1.0 / (1.0 + odds);
            ln_likelihood += if a > b { a + odds.ln_1p() } else { b + (a - b).exp().ln_1p() };
            for (sum, value) in confident.iter_mut().zip([1.0, x, y]) {
                *sum += posterior * value;
            }
            let rest = if odds.is_finite() { odds * posterior } else { 1.0 };
            for (sum, value) in other.iter_mut().zip([1.0, x, y]) {
                *sum += rest * value;
            }
        }
        (ln_likelihood / logs.len() as f64, confident, other)
    }

    /// The probability that an image of confidence `c` is of the confident group; c outside [1e-4, 1 − 1e-4] counts as
    /// the nearer of these.
    pub fn posterior(&self, c: f64) -> f64 {
        1.0 / (1.0 + (-self.ln_odds(c)).exp())
    }

    /// ln of posterior / (1 − posterior).
    fn ln_odds(&self, c: f64) -> f64 {
        let c = c.clamp(EDGE, 1.0 - EDGE);
        let (a, b) = (self.confident, self.other);
        (self.share / (1.0 - self.share)).ln() + b.ln_normalizer() - a.ln_normalizer()
            + (a.alpha - b.alpha) * c.ln()
            + (a.beta - b.beta) * (-c).ln_1p()
    }

    /// The lowest confidence from which on the posterior of the confident group exceeds `zeta` in (0, 1), FREE's 0.4, up
    /// to that group's mean; where it does not at the mean, the lowest above that at which it does. 0 where it does all
    /// the way down, none where it does nowhere from the mean up.
    ///
    /// Where the confident group is much the broader, its posterior rises again below the other group; that part, of the
    /// least confident of all, is not taken.
    ///
    /// # Errors
    /// ζ is not in (0, 1).
    pub fn threshold(&self, zeta: f64) -> Result<Option<f64>, CalibrateError> {
        if !(zeta > 0.0 && zeta < 1.0) {
            return Err(CalibrateError::Number { name: "zeta", expected: "above 0 and below 1", got: zeta });
        }
        let passes = |c: f64| self.ln_odds(c) > (zeta / (1.0 - zeta)).ln();
        let (mean, turn) = (self.confident.mean().clamp(EDGE, 1.0 - EDGE), self.turn());
        // Between these the odds only rise or only fall.
        let below = [turn.filter(|&c| c < mean).unwrap_or(EDGE), EDGE];
        let above = [turn.filter(|&c| c > mean).unwrap_or(1.0 - EDGE), 1.0 - EDGE];
        if passes(mean) {
            let mut inside = mean;
            for end in below {
                if !passes(end) {
                    return Ok(Some(boundary(end, inside, passes)));
                }
                inside = end;
            }
            return Ok(Some(0.0));
        }
        let first = above.into_iter().find(|&end| passes(end));
        Ok(first.map(|end| boundary(mean, end, passes)))
    }

    /// Where the odds turn from rising to falling, or the other way round; there is one such confidence, or none.
    fn turn(&self) -> Option<f64> {
        let (a, b) = (self.confident.alpha - self.other.alpha, self.confident.beta - self.other.beta);
        let turn = a / (a + b);
        (turn > EDGE && turn < 1.0 - EDGE).then_some(turn)
    }
}

/// Between `outside`, which does not pass, and `inside`, which does; the last that does not.
fn boundary(mut outside: f64, mut inside: f64, passes: impl Fn(f64) -> bool) -> f64 {
    loop {
        let middle = outside + (inside - outside) / 2.0;
        if middle == outside || middle == inside {
            return outside;
        }
        if passes(middle) { inside = middle } else { outside = middle }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use rand_distr::Distribution;

    use super::*;

    fn mixture(share: f64, confident: (f64, f64), other: (f64, f64)) -> BetaMixture {
        let beta = |(alpha, beta)| Beta { alpha, beta };
        BetaMixture {
            share,
            confident: beta(confident),
            other: beta(other),
            ln_likelihood: f64::NAN,
            converged: true,
        }
    }

    fn drawn(from: &BetaMixture, n: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = || {
            let group = if rng.random::<f64>() < from.share { from.confident } else { from.other };
            rand_distr::Beta::new(group.alpha, group.beta).unwrap().sample(&mut rng)
        };
        (0..n).map(|_| draw()).collect()
    }

    #[test]
    fn finds_the_mixture_that_was_drawn_from() {
        // The last two groups overlap so far that the likelihood itself is flat: 4 standard errors of its maximum are
        // 0.08 in the share.
        for (truth, share, mean, ratio) in [
            (mixture(0.7, (12.0, 3.0), (2.0, 8.0)), 0.015, 0.01, 1.1),
            (mixture(0.3, (40.0, 10.0), (30.0, 30.0)), 0.015, 0.01, 1.1),
            (mixture(0.9, (5.0, 1.0), (1.0, 5.0)), 0.015, 0.02, 1.2),
            (mixture(0.5, (60.0, 2.0), (9.0, 1.5)), 0.08, 0.02, 1.2),
        ] {
            let found = BetaMixture::fit(&drawn(&truth, 20_000, 3)).unwrap();
            assert!(found.converged);
            assert!((found.share - truth.share).abs() < share, "{found:?} of {truth:?}");
            for (found, truth) in [(found.confident, truth.confident), (found.other, truth.other)] {
                assert!((found.mean() - truth.mean()).abs() < mean, "{found:?} of {truth:?}");
                let of = (found.alpha + found.beta) / (truth.alpha + truth.beta);
                assert!(of < ratio && of > 1.0 / ratio, "{found:?} of {truth:?}");
            }
            let [of, to] = [found, truth].map(|m| m.threshold(0.4).unwrap().unwrap());
            assert!((of - to).abs() < 0.02, "{of} and {to}");
        }
    }

    #[test]
    fn nothing_is_likelier_than_what_is_found() {
        // The truth is not, nor are neighbours of what is found.
        let truth = mixture(0.6, (9.0, 3.0), (3.0, 6.0));
        let c = drawn(&truth, 3000, 7);
        let logs: Vec<[f64; 2]> = c.iter().map(|c| [c.ln(), (-c).ln_1p()]).collect();
        let likelihood = |m: &BetaMixture| m.expect(&logs).0;
        let found = BetaMixture::fit(&c).unwrap();
        assert!((likelihood(&found) - found.ln_likelihood).abs() < 1e-6);
        assert!(likelihood(&truth) < likelihood(&found));
        for factor in [0.9, 1.1] {
            let mut beside = [found; 5];
            beside[0].share *= factor;
            beside[1].confident.alpha *= factor;
            beside[2].confident.beta *= factor;
            beside[3].other.alpha *= factor;
            beside[4].other.beta *= factor;
            for beside in beside {
                assert!(likelihood(&beside) < likelihood(&found), "{beside:?}");
            }
        }
    }

    #[test]
    fn a_round_never_lowers_the_likelihood() {
        let c = drawn(&mixture(0.5, (3.0, 2.0), (2.0, 3.0)), 500, 8);
        let logs: Vec<[f64; 2]> = c.iter().map(|c| [c.ln(), (-c).ln_1p()]).collect();
        let mut at = mixture(0.2, (900.0, 1.0), (0.01, 50.0));
        for _ in 0..200 {
            let (before, [n, x, y], [m, z, w]) = at.expect(&logs);
            if n < EMPTY || m < EMPTY {
                break;
            }
            at.share = n / logs.len() as f64;
            at.confident = at.confident.climbed([x / n, y / n]);
            at.other = at.other.climbed([z / m, w / m]);
            assert!(at.expect(&logs).0 >= before - 1e-12, "{at:?}");
        }
    }

    #[test]
    fn the_posterior_is_bayes_rule() {
        // Beta(2, 1) has density 2c, Beta(1, 2) has 2(1 − c).
        let even = mixture(0.5, (2.0, 1.0), (1.0, 2.0));
        for c in [0.1, 0.25, 0.5, 0.8] {
            assert!((even.posterior(c) - c).abs() < 1e-14);
        }
        for zeta in [0.1, 0.4, 0.9] {
            assert!((even.threshold(zeta).unwrap().unwrap() - zeta).abs() < 1e-12);
        }
        // π = ¾: 3c / (3c + 1 − c) = 0.4 at c = 2/11.
        let uneven = mixture(0.75, (2.0, 1.0), (1.0, 2.0));
        assert!((uneven.posterior(0.25) - 0.5).abs() < 1e-14);
        assert!((uneven.threshold(0.4).unwrap().unwrap() - 2.0 / 11.0).abs() < 1e-12);
    }

    #[test]
    fn a_broad_confident_group_takes_no_unsure_images() {
        // Below the narrow group the broad one is likelier again; the threshold stays above it.
        let broad = mixture(0.5, (2.0, 1.5), (60.0, 90.0));
        assert!(broad.posterior(0.05) > 0.99 && broad.posterior(0.4) < 0.2);
        let threshold = broad.threshold(0.4).unwrap().unwrap();
        assert!(threshold > 0.4 && threshold < 0.57, "{threshold}");
        assert!(broad.posterior(threshold + 1e-6) > 0.4 && broad.posterior(threshold - 1e-6) < 0.4);
    }

    #[test]
    fn a_threshold_may_be_nowhere_or_everywhere() {
        // A small confident group: likeliest nowhere near its mean, but at the end.
        let small = mixture(0.001, (6.0, 2.0), (2.0, 3.0));
        let threshold = small.threshold(0.4).unwrap().unwrap();
        assert!(threshold > 0.98, "{threshold}");
        let smaller = mixture(1e-12, (6.0, 2.0), (2.0, 3.0));
        assert_eq!(smaller.threshold(0.4).unwrap(), None);
        let all = mixture(1.0 - 1e-12, (2.0, 1.0), (1.0, 2.0));
        assert_eq!(all.threshold(0.4).unwrap(), Some(0.0));
        for zeta in [0.0, 1.0, f64::NAN] {
            assert!(matches!(all.threshold(zeta), Err(CalibrateError::Number { name: "zeta", .. })));
        }
    }

    #[test]
    fn two_points_and_ends_are_enough() {
        for c in [vec![0.2, 0.8], vec![0.0, 1.0], vec![0.3; 50].into_iter().chain([0.7; 9]).collect()] {
            let found = BetaMixture::fit(&c).unwrap();
            let (low, high) = (c[0].clamp(EDGE, 1.0 - EDGE), c[c.len() - 1].clamp(EDGE, 1.0 - EDGE));
            assert!(
                (found.other.mean() - low).abs() < 1e-3 && (found.confident.mean() - high).abs() < 1e-3,
                "{found:?}"
            );
            let threshold = found.threshold(0.4).unwrap().unwrap();
            assert!(threshold > low && threshold < high, "{threshold}");
        }
    }

    #[test]
    fn confidences_heaped_at_one_are_a_group() {
        let truth = mixture(0.0, (1.0, 1.0), (3.0, 3.0));
        let c: Vec<f64> = drawn(&truth, 3000, 9).into_iter().chain([1.0; 2000]).collect();
        let found = BetaMixture::fit(&c).unwrap();
        assert!((found.share - 0.4).abs() < 0.001, "{found:?}");
        assert!((found.confident.mean() - (1.0 - EDGE)).abs() < 1e-4, "{found:?}");
        assert!((found.other.alpha - 3.0).abs() < 0.3 && (found.other.beta - 3.0).abs() < 0.3, "{found:?}");
    }

    #[test]
    fn what_has_no_two_groups_is_refused() {
        assert!(matches!(BetaMixture::fit(&[]), Err(CalibrateError::TooFew { got: 0, .. })));
        assert!(matches!(BetaMixture::fit(&[0.5]), Err(CalibrateError::TooFew { got: 1, .. })));
        assert!(matches!(BetaMixture::fit(&[0.5; 9]), Err(CalibrateError::OneValue { value: 0.5 })));
        assert!(matches!(BetaMixture::fit(&[1.0, 1.0]), Err(CalibrateError::OneValue { .. })));
        for bad in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
            assert!(matches!(
                BetaMixture::fit(&[0.5, bad, 0.6]),
                Err(CalibrateError::Score { index: 1, .. })
            ));
        }
    }
}
