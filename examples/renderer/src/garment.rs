//! A generated image becomes cloth: luminance is its coverage and its shading, a tint is its colour.
//!
//! The model's images are small and lie on black. They are scaled up as numbers, not as pixels: the
//! contour is cut where the smooth luminance passes a level, so it stays sharp at any size.

use tch::{Kind, TchError, Tensor};
use tiny_skia::{Pixmap, PremultipliedColorU8};

use crate::brush::{Rgb, pixmap, smoothstep};

/// Side of a texture, in pixels.
pub const SIDE: u32 = 320;

/// Side of a shadow; it is soft, so a small one will do.
pub const SHADOW_SIDE: u32 = 80;

/// Empty share of a texture on each side, so that a contour at the image's edge is a contour too.
const MARGIN: f32 = 1.0 / 9.0;

/// Luminance below the first is background, above the second is cloth.
const CONTOUR: [f32; 2] = [0.2, 0.3];

/// Rows between the two heights that make a slope.
const FOLD: usize = 5;

/// A texture, its shadow, and how much of the height they fill.
pub struct Garment {
    /// The garment on a transparent ground.
    pub texture: Pixmap,
    /// Its blurred outline, for the wall behind it.
    pub shadow: Pixmap,
    /// Where the cloth begins and ends, as shares of the texture's height.
    pub extent: [f32; 2],
}

impl Garment {
    /// Tints an image, f32 `[C, H, W]` in `range`, of which the mean over C is the luminance.
    ///
    /// # Errors
    /// libtorch's: a tensor of another shape.
    pub fn new(image: &Tensor, range: [f64; 2], tint: Rgb) -> Result<Self, TchError> {
        let [lo, hi] = range;
        let luminance = image.f_mean_dim(0, true, Kind::Float)?.f_sub_scalar(lo)?.f_div_scalar(hi - lo)?;
        let (_, height, width) = luminance.size3()?;
        let pad = |side: i64| (side as f32 * MARGIN / (1.0 - 2.0 * MARGIN)).round() as i64;
        let (x, y) = (pad(width), pad(height));
        let padded = luminance.f_constant_pad_nd([x, x, y, y])?.f_unsqueeze(0)?; // [1, 1, H', W']

        let large = scaled(&padded, SIDE)?;
        let mut texture = pixmap(SIDE, SIDE);
        for (at, pixel) in texture.pixels_mut().iter_mut().enumerate() {
            // Folds: luminance read as height, lit from above.
            let above = large[at.saturating_sub(FOLD * SIDE as usize)];
            *pixel = cloth(large[at], 0.9 * (large[at] - above), tint);
        }
        let blurred = padded.f_mul_scalar(1.8)?.f_clamp(0.0, 1.0)?;
        let blurred = blur(&blur(&blurred)?)?;
        let mut shadow = pixmap(SHADOW_SIDE, SHADOW_SIDE);
        for (pixel, &l) in shadow.pixels_mut().iter_mut().zip(&scaled(&blurred, SHADOW_SIDE)?) {
            *pixel = Rgb(8, 14, 18).covering(l.clamp(0.0, 1.0));
        }
        Ok(Self { extent: extent(&large), texture, shadow })
    }
}

fn scaled(image: &Tensor, side: u32) -> Result<Vec<f32>, TchError> {
    let side = i64::from(side);
    Vec::try_from(image.f_upsample_bicubic2d([side, side], false, None, None)?.f_flatten(0, -1)?)
}

fn blur(image: &Tensor) -> Result<Tensor, TchError> {
    image.f_avg_pool2d([3, 3], [1, 1], [1, 1], false, true, None)
}

/// The pixel of a luminance: nothing, or a shade of the tint between its shadow and its light.
fn cloth(luminance: f32, relief: f32, tint: Rgb) -> PremultipliedColorU8 {
    let l = (luminance + relief.clamp(-0.3, 0.2)).clamp(0.0, 1.0);
    let [shade, light] = [tint.mix(Rgb(22, 20, 34), 0.72), tint.mix(Rgb(255, 246, 228), 0.5)];
    let colour = if l < 0.6 { shade.mix(tint, l / 0.6) } else { tint.mix(light, (l - 0.6) / 0.4) };
    colour.covering(smoothstep(CONTOUR, luminance))
}

/// First and last row that has cloth in a fair share of its pixels.
fn extent(luminance: &[f32]) -> [f32; 2] {
    let side = SIDE as usize;
    let full = |row: &[f32]| row.iter().filter(|&&l| l > CONTOUR[1]).count() > side / 20;
    let mut rows = luminance.chunks(side).enumerate().filter(|(_, row)| full(row)).map(|(y, _)| y);
    let first = rows.next();
    match (first, rows.next_back().or(first)) {
        (Some(first), Some(last)) => [first, last + 1].map(|y| y as f32 / side as f32),
        _ => [MARGIN, 1.0 - MARGIN],
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// A white square in the middle of black, as a model draws it: `[1, 28, 28]` in [−1, 1].
    fn square() -> Tensor {
        let image = Tensor::full([1, 28, 28], -1.0, (Kind::Float, Device::Cpu));
        let _ = image.narrow(1, 7, 14).narrow(2, 7, 14).fill_(1.0);
        image
    }

    #[test]
    fn the_background_stays_transparent_and_the_cloth_is_opaque() {
        let garment = Garment::new(&square(), [-1.0, 1.0], Rgb(200, 90, 60)).expect("a garment");
        let alpha = |x, y| garment.texture.pixel(x, y).map(|p| p.alpha());
        let edge = SIDE - 1;
        for (x, y) in [(0, 0), (edge, 0), (0, edge), (edge, edge), (SIDE / 2, 20), (60, SIDE / 2)] {
            assert_eq!(alpha(x, y), Some(0), "at {x}, {y}");
        }
        assert_eq!(alpha(SIDE / 2, SIDE / 2), Some(255));
    }

    #[test]
    fn the_extent_is_where_the_cloth_is() {
        let garment = Garment::new(&square(), [-1.0, 1.0], Rgb(200, 90, 60)).expect("a garment");
        let [top, bottom] = garment.extent;
        assert!((top - 11.0 / 36.0).abs() < 0.02 && (bottom - 25.0 / 36.0).abs() < 0.02, "{top} {bottom}");
    }

    #[test]
    fn a_flat_tensor_is_an_error() {
        let flat = Tensor::zeros([784], (Kind::Float, Device::Cpu));
        assert!(Garment::new(&flat, [-1.0, 1.0], Rgb(0, 0, 0)).is_err());
    }
}
