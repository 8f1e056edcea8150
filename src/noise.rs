//! Noise that belongs to an image, not to a batch.
//!
//! The noise of an image at an evaluation is a function of (the image's seed, the evaluation) alone: a
//! ChaCha8 keystream seeded by the one, with the other as its stream number. So it is the same in any
//! batch, on any worker and device, and no global generator is touched.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use tch::{TchError, Tensor};

/// Which draw of an image's noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// x_T, the start.
    Initial,
    /// What a stochastic solver adds after an evaluation.
    Evaluation(usize),
}

/// Standard normal noise, f32 `[C, H, W]`, on the CPU.
pub fn standard_normal(seed: u64, draw: Draw, chw: [i64; 3]) -> Result<Tensor, TchError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match draw {
        Draw::Initial => 0,
        Draw::Evaluation(e) => e as u64 + 1,
    });
    let values: Vec<f32> =
        StandardNormal.sample_iter(rng).take(chw.iter().product::<i64>() as usize).collect();
    Tensor::f_from_slice(&values)?.f_view(chw)
}

/// The stream that a class is drawn from; no evaluation comes near it.
const CLASS_STREAM: u64 = u64::MAX;

/// A class in 0 … `classes` − 1, uniform, drawn from an image's own seed apart from its noise.
///
/// It is ⌊u·classes / 2⁶⁴⌋ of the stream's first 64-bit number u.
pub fn uniform_class(seed: u64, classes: u64) -> u64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(CLASS_STREAM);
    ((u128::from(rng.next_u64()) * u128::from(classes)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: u64, draw: Draw) -> Vec<f32> {
        Vec::try_from(standard_normal(seed, draw, [1, 64, 64]).unwrap().reshape([-1])).unwrap()
    }

    #[test]
    fn depends_on_seed_and_evaluation_alone() {
        assert_eq!(draw(7, Draw::Evaluation(3)), draw(7, Draw::Evaluation(3)));
        assert_ne!(draw(7, Draw::Evaluation(3)), draw(7, Draw::Evaluation(4)));
        assert_ne!(draw(7, Draw::Evaluation(0)), draw(7, Draw::Initial));
        assert_ne!(draw(7, Draw::Initial), draw(8, Draw::Initial));
    }

    #[test]
    fn classes_are_drawn_uniformly_and_by_seed_alone() {
        let mut counts = [0; 10];
        for seed in 0..10_000 {
            assert_eq!(uniform_class(seed, 10), uniform_class(seed, 10));
            counts[uniform_class(seed, 10) as usize] += 1;
        }
        // Five standard deviations of a binomial count of 10,000 at 1/10.
        assert!(counts.iter().all(|&n: &i32| (n - 1000).abs() < 150), "{counts:?}");
        assert_eq!(uniform_class(7, 1), 0);
    }

    #[test]
    fn is_standard_normal() {
        let v = draw(0, Draw::Initial);
        let n = v.len() as f64;
        let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = v.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        // Four standard errors of 4,096 draws.
        assert!(mean.abs() < 4.0 / n.sqrt(), "mean {mean}");
        assert!((variance - 1.0).abs() < 4.0 * (2.0 / n).sqrt(), "variance {variance}");
    }
}
