//! PNGs that say how they were made: the parameters are one JSON text chunk (iTXt, keyword `offramp`).

use std::io::{BufReader, Cursor};
use std::path::Path;

use super::{OutputError, Parameters, Pixels, atomic};

const KEYWORD: &str = "offramp";

/// Writes a grey or RGB PNG with its parameters, if any.
pub fn write_png(file: &Path, pixels: &Pixels, parameters: Option<&Parameters>) -> Result<(), OutputError> {
    let [height, width, channels] = pixels.shape;
    let failed = |e: png::EncodingError| match e {
        png::EncodingError::IoError(source) => OutputError::Io { file: file.to_owned(), source },
        other => OutputError::NotAnImage { file: file.to_owned(), reason: other.to_string() },
    };
    // Encoded in memory first: an image is small, and the file is then written in one piece.
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(match channels {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        channels => return Err(OutputError::Channels { channels }),
    });
    encoder.set_depth(png::BitDepth::Eight);
    if let Some(parameters) = parameters {
        encoder.add_itxt_chunk(KEYWORD.into(), parameters.to_json()).map_err(failed)?;
    }
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&pixels.data).map_err(failed)?;
    writer.finish().map_err(failed)?;
    atomic::write_bytes(file, &bytes)
}

fn open(file: &Path) -> Result<png::Reader<BufReader<Cursor<Vec<u8>>>>, OutputError> {
    let bytes = std::fs::read(file).map_err(OutputError::io(file))?;
    let decoder = png::Decoder::new(BufReader::new(Cursor::new(bytes)));
    decoder.read_info().map_err(|e| OutputError::NotAnImage { file: file.to_owned(), reason: e.to_string() })
}

/// Reads an 8-bit grey or RGB PNG as written by [`write_png`].
pub fn read_png(file: &Path) -> Result<Pixels, OutputError> {
    let broken = |reason: String| OutputError::NotAnImage { file: file.to_owned(), reason };
    let mut reader = open(file)?;
    let (color, depth) = reader.output_color_type();
    let channels = match (color, depth) {
        (png::ColorType::Grayscale, png::BitDepth::Eight) => 1,
        (png::ColorType::Rgb, png::BitDepth::Eight) => 3,
        other => return Err(broken(format!("{other:?} is not 8-bit grey or RGB"))),
    };
    let size = reader.output_buffer_size().ok_or_else(|| broken("it claims to be too large".into()))?;
    let mut data = vec![0; size];
    reader.next_frame(&mut data).map_err(|e| broken(e.to_string()))?;
    let info = reader.info();
    Ok(Pixels { shape: [info.height as usize, info.width as usize, channels], data })
}

/// Reads the parameters out of a PNG.
///
/// # Errors
/// Not a PNG; or one that offramp did not make.
pub fn read_parameters(file: &Path) -> Result<Parameters, OutputError> {
    let reader = open(file)?;
    let none = || OutputError::NoParameters { file: file.to_owned() };
    let chunk = reader.info().utf8_text.iter().find(|t| t.keyword == KEYWORD).ok_or_else(none)?;
    let text = chunk.get_text().map_err(|_| none())?;
    serde_json::from_str(&text).map_err(|_| none())
}
