//! One PNG or JPEG: its header first, its pixels once the header is known to fit.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::{DataError, jpeg_end};

/// The names that are taken for images.
const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// An image whose header has been read, whatever its extension says.
pub(crate) struct ImageFile<'a> {
    file: &'a Path,
    format: Option<ImageFormat>,
    decoder: Box<dyn ImageDecoder>,
    shape: [usize; 3],
}

impl<'a> ImageFile<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`DataError::BadImage`] for what is no image or a damaged one, [`DataError::ImageMode`] for one that is
    /// neither 8-bit grey nor 8-bit RGB, [`DataError::Io`] where the system refuses.
    pub fn open(file: &'a Path) -> Result<Self, DataError> {
        let io = |source| DataError::Io { file: file.to_owned(), source };
        let reader = BufReader::new(File::open(file).map_err(io)?);
        let reader = ImageReader::new(reader).with_guessed_format().map_err(io)?;
        let format = reader.format();
        let decoder = reader.into_decoder().map_err(|e| unreadable(file, e))?;
        let (width, height) = decoder.dimensions();
        let channels = match decoder.color_type() {
            ColorType::L8 => 1,
            ColorType::Rgb8 => 3,
            other => {
                return Err(DataError::ImageMode { file: file.to_owned(), got: format!("{other:?}") });
            }
        };
        let shape = [height as usize, width as usize, channels];
        Ok(Self { file, format, decoder: Box::new(decoder), shape })
    }

    /// `[H, W, C]` as the header has it; C is 1 or 3.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// H·W·C values, row by row. This takes the memory that [`ImageFile::shape`] asks for: look at it before.
    ///
    /// # Errors
    /// As [`ImageFile::open`].
    pub fn pixels(self) -> Result<Vec<u8>, DataError> {
        // The decoder fills what is missing of a JPEG with grey, and says nothing.
        if self.format == Some(ImageFormat::Jpeg) && !jpeg_end::is_reached(&read(self.file)?) {
            let reason = "not a readable image: it is cut short".to_owned();
            return Err(DataError::BadImage { file: self.file.to_owned(), reason });
        }
        let image = DynamicImage::from_decoder(self.decoder).map_err(|e| unreadable(self.file, e))?;
        Ok(image.into_bytes())
    }
}

/// The images of a folder by their extensions, sorted by name; hidden files are left out.
///
/// # Errors
/// The folder cannot be read; an image's name is not UTF-8.
pub(crate) fn image_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let io = |source| DataError::Io { file: folder.to_owned(), source };
    let mut names = vec![];
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name =
            entry.file_name().into_string().map_err(|name| DataError::Name { path: folder.join(name) })?;
        let extension = Path::new(&name).extension().and_then(|e| e.to_str()).unwrap_or_default();
        // Hidden ones are another program's, half-written.
        if !name.starts_with('.') && EXTENSIONS.iter().any(|e| extension.eq_ignore_ascii_case(e)) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn read(file: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(file).map_err(|source| DataError::Io { file: file.to_owned(), source })
}

fn unreadable(file: &Path, error: image::ImageError) -> DataError {
    match error {
        // The system's own refusal has a number; the decoder's complaints have none.
        image::ImageError::IoError(source) if source.raw_os_error().is_some() => {
            DataError::Io { file: file.to_owned(), source }
        }
        other => {
            DataError::BadImage { file: file.to_owned(), reason: format!("not a readable image: {other}") }
        }
    }
}
