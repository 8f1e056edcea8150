//! The gamma function's logarithm and its derivatives, for x > 0.
//!
//! Each is its asymptotic series from 16 on, where the first term left out is below 1e-15; smaller arguments are led
//! there by the recurrence.

use std::f64::consts::TAU;

/// From where the series are exact to the last digits.
const LARGE: f64 = 16.0;

/// What Stirling's formula leaves out: ln Γ(x + 1) − (½ ln 2πx + x ln x − x).
pub(super) fn stirling_error(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < LARGE {
        below += (x + 0.5) * x.recip().ln_1p() - 1.0;
        x += 1.0;
    }
    let s = 1.0 / (x * x);
    below + (1.0 / 12.0 - s * (1.0 / 360.0 - s * (1.0 / 1260.0 - s * (1.0 / 1680.0 - s / 1188.0)))) / x
}

/// ln Γ(x).
pub(super) fn ln_gamma(x: f64) -> f64 {
    0.5 * (TAU / x).ln() + x * x.ln() - x + stirling_error(x)
}

/// ψ(x), the derivative of ln Γ.
pub(super) fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < LARGE {
        below += 1.0 / x;
        x += 1.0;
    }
    let s = 1.0 / (x * x);
    let series = s * (1.0 / 12.0 - s * (1.0 / 120.0 - s * (1.0 / 252.0 - s * (1.0 / 240.0 - s / 132.0))));
    x.ln() - 0.5 / x - series - below
}

/// ψ′(x).
pub(super) fn trigamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < LARGE {
        below += 1.0 / (x * x);
        x += 1.0;
    }
    let s = 1.0 / (x * x);
    let series = s * (1.0 / 6.0 - s * (1.0 / 30.0 - s * (1.0 / 42.0 - s * (1.0 / 30.0 - s * 5.0 / 66.0))));
    (1.0 + 0.5 / x + series) / x + below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_values_of_sixty_digits() {
        // x, Stirling's error, ln Γ, ψ, ψ′; by mpmath.
        for [x, error, ln, first, second] in [
            [0.001, 2.5422704679670947, 6.907178885383853, -1000.5755719318103, 1000001.6425331958],
            [0.1, 0.512740081331915, 2.252712651734206, -10.423754940411076, 101.43329915079275],
            [0.5, 0.15342640972002736, 0.5723649429247001, -1.9635100260214235, 4.934802200544679],
            [1.0, 0.08106146679532726, 0.0, -0.5772156649015329, 1.6449340668482264],
            [1.5, 0.05481412105191765, -0.12078223763524522, 0.03648997397857652, 0.9348022005446793],
            [3.25, 0.025562157964525795, 0.9358019311087253, 1.016990911068179, 0.3597982903095799],
            [15.9, 0.005240399880756108, 27.625493215168692, 2.734543070175774, 0.06491228159906011],
            [16.0, 0.0052076559196096404, 27.89927138384089, 2.7410133283274605, 0.06449378340323936],
            [100.0, 0.0008333305556349147, 359.1342053695754, 4.600161852738087, 0.010050166663333571],
            [1e5, 8.333333333305556e-07, 1051287.7089736569, 11.512920464961894, 1.0000050000166667e-05],
        ] {
            let near = |got: f64, expected: f64| (got - expected).abs() <= 2e-14 * expected.abs().max(1.0);
            assert!((stirling_error(x) - error).abs() < 1e-14, "{x}: {}", stirling_error(x));
            assert!(near(ln_gamma(x), ln), "{x}: {}", ln_gamma(x));
            assert!(near(digamma(x), first), "{x}: {}", digamma(x));
            assert!(near(trigamma(x), second), "{x}: {}", trigamma(x));
        }
    }
}
