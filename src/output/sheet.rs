//! Contact sheets: many images in one, row by row, enlarged to be seen.

use std::path::Path;

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::{OutputError, Pixels, write_png};

/// The paper's colour and the gap between images, in pixels.
const PAPER: Rgb<u8> = Rgb([250, 250, 250]);
const GAP: u32 = 4;
/// Small images are enlarged to about this size.
const CELL: u32 = 96;

/// Lays images out in rows of `columns`; grey ones become RGB.
pub fn contact_sheet(images: &[Pixels], columns: usize) -> Result<Pixels, OutputError> {
    let shape = images.first().map_or([1, 1, 1], |p| p.shape);
    let [height, width, _] = shape.map(|n| n as u32);
    let scale = (CELL / height.max(width).max(1)).max(1);
    let (cell_w, cell_h) = (width * scale + GAP, height * scale + GAP);
    let columns = columns.clamp(1, images.len().max(1));
    let rows = images.len().div_ceil(columns);
    let (sheet_w, sheet_h) = (columns as u32 * cell_w + GAP, rows as u32 * cell_h + GAP);
    let mut sheet = RgbImage::from_pixel(sheet_w, sheet_h, PAPER);
    for (k, pixels) in images.iter().enumerate() {
        if pixels.shape != shape {
            return Err(OutputError::MixedShapes { expected: shape, got: pixels.shape });
        }
        let tile = imageops::resize(&to_rgb(pixels)?, width * scale, height * scale, FilterType::Nearest);
        let (x, y) = ((k % columns) as u32 * cell_w + GAP, (k / columns) as u32 * cell_h + GAP);
        imageops::replace(&mut sheet, &tile, i64::from(x), i64::from(y));
    }
    Ok(Pixels { shape: [sheet.height() as usize, sheet.width() as usize, 3], data: sheet.into_raw() })
}

/// Writes a contact sheet as PNG.
pub fn write_sheet(file: &Path, images: &[Pixels], columns: usize) -> Result<(), OutputError> {
    write_png(file, &contact_sheet(images, columns)?, None)
}

fn to_rgb(pixels: &Pixels) -> Result<RgbImage, OutputError> {
    let [height, width, channels] = pixels.shape;
    let data = match channels {
        1 => pixels.data.iter().flat_map(|&v| [v; 3]).collect(),
        3 => pixels.data.clone(),
        channels => return Err(OutputError::Channels { channels }),
    };
    RgbImage::from_raw(width as u32, height as u32, data).ok_or(OutputError::Channels { channels })
}
