//! Images against images of the same name or seed, pixel by pixel.

use ndarray::ArrayView3;
use serde::{Deserialize, Serialize};

use super::MetricError;
use super::ssim::ssim;

/// Values apart in x ∈ [−1, 1] for 8-bit values one apart.
const STEP: f64 = 2.0 / 255.0;

/// How near images are to others, pair by pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// Root mean square error over all pixels of all images, x in [−1, 1].
    pub rmse: f64,
    /// Peak signal-to-noise ratio of that error, 20 log₁₀(2/rmse) dB; none where images are equal.
    pub psnr: Option<f64>,
    /// Structural similarity, mean over images.
    pub ssim: f64,
}

/// Gathers pairs; 16 bytes a pair are kept.
#[derive(Debug, Clone, Default)]
pub struct PairedImages {
    rmse: Vec<f64>,
    ssim: Vec<f64>,
}

impl PairedImages {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pair of 8-bit images, `[H, W, C]`.
    ///
    /// # Errors
    /// Images of two shapes, or without pixels.
    pub fn push(&mut self, a: ArrayView3<u8>, b: ArrayView3<u8>) -> Result<(), MetricError> {
        if a.shape() != b.shape() || a.is_empty() {
            return Err(MetricError::Shapes { expected: a.shape().to_vec(), got: b.shape().to_vec() });
        }
        // Whole numbers: no rounding below 2⁶⁴.
        let squares: u64 = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
        self.rmse.push(STEP * (squares as f64 / a.len() as f64).sqrt());
        self.ssim.push(ssim(a, b));
        Ok(())
    }

    /// Adds all pairs of another, behind its own.
    pub fn extend_from(&mut self, other: &PairedImages) {
        self.rmse.extend_from_slice(&other.rmse);
        self.ssim.extend_from_slice(&other.ssim);
    }

    /// Pairs.
    pub fn len(&self) -> usize {
        self.rmse.len()
    }

    /// Whether there are none yet.
    pub fn is_empty(&self) -> bool {
        self.rmse.is_empty()
    }

    /// Root mean square error of each pair, x in [−1, 1], in the order pushed.
    pub fn rmse(&self) -> &[f64] {
        &self.rmse
    }

    /// Structural similarity of each pair, in the order pushed.
    pub fn ssim(&self) -> &[f64] {
        &self.ssim
    }

    /// Over all pairs; images count alike whatever their size.
    ///
    /// # Errors
    /// There are none.
    pub fn fidelity(&self) -> Result<Fidelity, MetricError> {
        if self.is_empty() {
            return Err(MetricError::TooFew { what: "paired comparison", least: 1, got: 0 });
        }
        let n = self.len() as f64;
        let rmse = (self.rmse.iter().map(|e| e * e).sum::<f64>() / n).sqrt();
        Ok(Fidelity {
            rmse,
            psnr: (rmse > 0.0).then(|| 20.0 * (2.0 / rmse).log10()),
            ssim: self.ssim.iter().sum::<f64>() / n,
        })
    }
}
