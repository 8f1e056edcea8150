//! Structural similarity (Wang et al. 2004) of 8-bit images.
//!
//! An 11 × 11 Gaussian window with σ = 1.5, K₁ = 0.01, K₂ = 0.03, range 255, variances with 1/n; the mean over all
//! windows that lie inside the image, then over channels: scikit-image's `structural_similarity` with
//! `gaussian_weights=True, use_sample_covariance=False`.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

const RADIUS: usize = 5;
const SIGMA: f64 = 1.5;
const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);

/// Mean structural similarity of two images `[H, W, C]` of one shape; 1 where they are equal.
///
/// Along a side shorter than 11 no window lies inside; there the image is mirrored at its edge (the edge pixel
/// twice) and every pixel is a window's centre.
pub(super) fn ssim(x: ArrayView3<u8>, y: ArrayView3<u8>) -> f64 {
    let channels = x.axis_iter(Axis(2)).zip(y.axis_iter(Axis(2)));
    channels.map(|(x, y)| ssim_of_channel(x, y)).sum::<f64>() / x.len_of(Axis(2)) as f64
}

fn ssim_of_channel(x: ArrayView2<u8>, y: ArrayView2<u8>) -> f64 {
    let (x, y) = (x.mapv(f64::from), y.mapv(f64::from));
    let (mx, my) = (blur(&x), blur(&y));
    let (xx, yy, xy) = (blur(&(&x * &x)), blur(&(&y * &y)), blur(&(&x * &y)));
    let mut sum = 0.0;
    for (at, &mx) in mx.indexed_iter() {
        let my = my[at];
        let (vx, vy, cov) = (xx[at] - mx * mx, yy[at] - my * my, xy[at] - mx * my);
        sum += (2.0 * mx * my + C1) * (2.0 * cov + C2) / ((mx * mx + my * my + C1) * (vx + vy + C2));
    }
    sum / mx.len() as f64
}

/// Convolution with the window along both sides, where it fits; `[H − 10, W − 10]` for sides of 11 and more.
fn blur(image: &Array2<f64>) -> Array2<f64> {
    blur_columns(&blur_columns(image).reversed_axes()).reversed_axes()
}

fn blur_columns(image: &Array2<f64>) -> Array2<f64> {
    let window = window();
    let (height, width) = image.dim();
    let (out, border) = if height > 2 * RADIUS { (height - 2 * RADIUS, 0) } else { (height, RADIUS) };
    Array2::from_shape_fn((out, width), |(i, j)| {
        let tap = |(k, w): (usize, &f64)| w * image[[mirrored(i + k, border, height), j]];
        window.iter().enumerate().map(tap).sum()
    })
}

/// Row `at` − `border` of an image that goes on, mirrored, on both sides: … 1 0 | 0 1 2 | 2 1 ….
fn mirrored(at: usize, border: usize, height: usize) -> usize {
    let period = 2 * height;
    // `border` ≤ RADIUS periods below zero are added, so that nothing is negative.
    let phase = (at + period * RADIUS - border) % period;
    if phase < height { phase } else { period - 1 - phase }
}

fn window() -> [f64; 2 * RADIUS + 1] {
    let mut window = [0.0; 2 * RADIUS + 1];
    for (k, w) in window.iter_mut().enumerate() {
        let distance = k as f64 - RADIUS as f64;
        *w = (-distance * distance / (2.0 * SIGMA * SIGMA)).exp();
    }
    let sum: f64 = window.iter().sum();
    window.map(|w| w / sum)
}
