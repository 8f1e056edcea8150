//! Between tensors in a value range and 8-bit pixels.

use std::path::Path;

use tch::{Kind, Tensor};

use super::OutputError;
use crate::backbone::ImageShape;

/// An 8-bit image, `[H, W, C]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// `[H, W, C]`.
    pub shape: [usize; 3],
    /// H·W·C values, row by row.
    pub data: Vec<u8>,
}

impl Pixels {
    /// Maps `[C, H, W]` in `value_range` to 0 … 255: `round(255·(x − lo)/(hi − lo))`, clamped, which is
    /// `round(127.5·(x + 1))` for [−1, 1].
    pub fn from_tensor(x: &Tensor, value_range: [f64; 2]) -> Result<Self, OutputError> {
        let [lo, hi] = value_range;
        let scaled = x.f_sub_scalar(lo)?.f_mul_scalar(255.0 / (hi - lo))?;
        let bytes = scaled.f_round()?.f_clamp(0.0, 255.0)?.f_to_kind(Kind::Uint8)?;
        let hwc = bytes.f_permute([1, 2, 0])?.f_contiguous()?.f_to_device(tch::Device::Cpu)?;
        let (h, w, c) = hwc.size3()?;
        Ok(Self { shape: [h as usize, w as usize, c as usize], data: Vec::try_from(hwc.f_flatten(0, 2)?)? })
    }

    /// The inverse, f32 `[C, H, W]`.
    pub fn to_tensor(&self, value_range: [f64; 2]) -> Result<Tensor, OutputError> {
        let [lo, hi] = value_range;
        let hwc = Tensor::f_from_slice(&self.data)?.f_view(self.shape.map(|n| n as i64))?;
        let x = hwc.f_permute([2, 0, 1])?.f_to_kind(Kind::Float)?;
        Ok(x.f_mul_scalar((hi - lo) / 255.0)?.f_add_scalar(lo)?)
    }
}

/// Reads a PNG or JPEG of exactly the model's size, as grey (C = 1) or RGB (C = 3).
///
/// # Errors
/// Not an image; of another size, which is not resized silently.
pub fn read_image(file: &Path, shape: ImageShape) -> Result<Pixels, OutputError> {
    let bytes = std::fs::read(file).map_err(OutputError::io(file))?;
    let image = image::load_from_memory(&bytes)
        .map_err(|e| OutputError::NotAnImage { file: file.to_owned(), reason: e.to_string() })?;
    let (height, width) = (shape.height as usize, shape.width as usize);
    if (image.height() as usize, image.width() as usize) != (height, width) {
        return Err(OutputError::ImageSize {
            file: file.to_owned(),
            expected: format!("{width}×{height}"),
            got: format!("the image is {}×{}", image.width(), image.height()),
        });
    }
    let data = match shape.channels {
        1 => image.into_luma8().into_raw(),
        3 => image.into_rgb8().into_raw(),
        c => return Err(OutputError::Channels { channels: c as usize }),
    };
    Ok(Pixels { shape: [height, width, shape.channels as usize], data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_survive_the_way_to_a_tensor_and_back() {
        let pixels = Pixels { shape: [16, 16, 1], data: (0..=255).collect() };
        let x = pixels.to_tensor([-1.0, 1.0]).unwrap();
        assert_eq!(Pixels::from_tensor(&x, [-1.0, 1.0]).unwrap(), pixels);
    }

    #[test]
    fn values_outside_the_range_are_clamped() {
        let x = Tensor::from_slice(&[-9f32, -1.0, 0.0, 1.0, 9.0]).view([1, 1, 5]);
        assert_eq!(Pixels::from_tensor(&x, [-1.0, 1.0]).unwrap().data, [0, 0, 128, 255, 255]);
    }
}
