//! P(Bin(n, p) ≤ k), exactly.
//!
//! The usual ways lose digits where n is large: ln C(n, k) is of the order of n, so its rounding alone is some 1e-11 at
//! n = 1e5. Here the probability of one count is taken by Loader's saddle-point expansion (2000, "Fast and accurate
//! computation of binomial probabilities"), whose exponent is small where the probability is not, and the tail is its
//! sum outward from k, away from the mode: all terms positive, each from the last by a short ratio.

use std::f64::consts::TAU;

use super::gamma::stirling_error;

/// Terms below this share of the sum no longer change it.
const NEGLIGIBLE: f64 = 1e-18;

/// P(Bin(n, p) ≤ k) for p in (0, 1); relative error below 1e-12 up to n = 1e5.
pub(super) fn at_most(k: u64, n: u64, p: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    let odds = p / (1.0 - p);
    if (k as f64) < n as f64 * p {
        let down = |j: u64| j as f64 / ((n - j + 1) as f64 * odds);
        exactly(k, n, p) * sum_from(k, |j| (j > 0).then(|| (j - 1, down(j))))
    } else {
        let up = |j: u64| (n - j) as f64 / (j + 1) as f64 * odds;
        1.0 - exactly(k + 1, n, p) * sum_from(k + 1, |j| (j < n).then(|| (j + 1, up(j))))
    }
}

/// 1 + r₁ + r₁r₂ + …, where `next` gives the next count and its ratio to this one.
fn sum_from(start: u64, next: impl Fn(u64) -> Option<(u64, f64)>) -> f64 {
    let (mut at, mut term, mut sum) = (start, 1.0, 1.0);
    while let Some((beside, ratio)) = next(at) {
        (at, term) = (beside, term * ratio);
        sum += term;
        if term < NEGLIGIBLE * sum {
            break;
        }
    }
    sum
}

/// P(Bin(n, p) = k).
fn exactly(k: u64, n: u64, p: f64) -> f64 {
    let (x, y, m) = (k as f64, (n - k) as f64, n as f64);
    if k == 0 {
        return (m * (-p).ln_1p()).exp();
    }
    if k == n {
        return (m * p.ln()).exp();
    }
    let left_out = stirling_error(m) - stirling_error(x) - stirling_error(y);
    let exponent = left_out - deviance(x, m * p) - deviance(y, m * (1.0 - p));
    (m / (TAU * x * y)).sqrt() * exponent.exp()
}

/// x ln(x/m) + m − x, without the cancellation where x is near m.
fn deviance(x: f64, m: f64) -> f64 {
    let v = (x - m) / (x + m);
    if v.abs() > 0.5 {
        return x * (x / m).ln() + m - x;
    }
    // ln(x/m) = 2 artanh v.
    let (mut sum, mut power, mut j) = ((x - m) * v, 2.0 * x * v, 3.0);
    loop {
        power *= v * v;
        let more = sum + power / j;
        if more == sum {
            return sum;
        }
        (sum, j) = (more, j + 2.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_sum_in_sixty_digits() {
        // k, n, p, P(Bin(n, p) ≤ k); by mpmath, of p as a double.
        for (k, n, p, expected) in [
            (0, 1, 0.5, 0.5),
            (1, 2, 0.5, 0.75),
            (3, 10, 0.25, 0.7758750915527344),
            (0, 59, 0.05, 0.04849452524942323),
            (9, 300, 0.05, 0.06496968086378971),
            (15, 300, 0.05, 0.5681120359274204),
            (30, 300, 0.05, 0.9998741628196279),
            (299, 300, 0.05, 1.0),
            (299, 300, 0.999, 0.2592929678439007),
            (0, 299, 0.01, 0.04953625663766248),
            (40, 1000, 0.05, 0.0806365732566911),
            (50, 1000, 0.05, 0.5375290408014276),
            (80, 1000, 0.05, 0.9999795125630899),
            (900, 1000, 0.95, 8.410251084877703e-11),
            (4800, 100_000, 0.05, 0.0018013236697115443),
            (5000, 100_000, 0.05, 0.5037624048046623),
            (5200, 100_000, 0.05, 0.9980933448096568),
            (89_500, 100_000, 0.9, 8.547280614233897e-08),
            (50_500, 100_000, 0.5, 0.9992258201845774),
            (2, 100_000, 1e-5, 0.9196995226356394),
            (4200, 100_000, 0.05, 5.0791925740038226e-33),
            (46_000, 100_000, 0.5, 1.2857629806769854e-141),
            (3000, 100_000, 0.05, 1.3523611767948407e-214),
            (100, 100_000, 0.01, 1.0225909891488195e-294),
            (0, 100_000, 0.005, 2.0327060161727278e-218),
        ] {
            let got = at_most(k, n, p);
            assert!((got - expected).abs() < 1e-12 * expected, "P(Bin({n}, {p}) ≤ {k}) = {got}");
        }
    }

    #[test]
    fn equals_pascals_triangle() {
        // (1 + x)ⁿ by hand: P(Bin(4, ½) ≤ k) = 1/16, 5/16, 11/16, 15/16, 1.
        for (k, sixteenths) in [1, 5, 11, 15, 16, 16].into_iter().enumerate() {
            assert!((at_most(k as u64, 4, 0.5) - f64::from(sixteenths) / 16.0).abs() < 1e-15);
        }
        assert_eq!(at_most(0, 0, 0.3), 1.0);
    }

    #[test]
    fn both_ends_add_up_to_one() {
        // P(Bin(n, p) ≤ k) + P(Bin(n, 1 − p) ≤ n − k − 1) = 1, by the two ways of summing.
        for n in [1_u64, 7, 100, 1500] {
            for p in [0.001, 0.05, 0.3, 0.5] {
                for k in (0..n).step_by(1 + n as usize / 40) {
                    let sum = at_most(k, n, p) + at_most(n - k - 1, n, 1.0 - p);
                    assert!((sum - 1.0).abs() < 1e-12, "{n} {p} {k}: {sum}");
                }
            }
        }
    }
}
