//! A folder of PNG and JPEG images.

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};

use image::{ColorType, DynamicImage, ImageDecoder, ImageReader};

use super::check_size;
use crate::evaluate::EvaluateError;
use crate::output::Pixels;

/// The files with these extensions, in the order of their names.
const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    files: Vec<String>,
    shape: [usize; 3],
}

impl Folder {
    /// Lists the images and reads every header.
    pub fn open(path: &Path) -> Result<Self, EvaluateError> {
        let mut files = vec![];
        for entry in std::fs::read_dir(path).map_err(EvaluateError::io(path))? {
            let name = entry.map_err(EvaluateError::io(path))?.file_name();
            let name = name.into_string().map_err(|name| EvaluateError::BadImage {
                file: path.join(name),
                reason: "its name is not UTF-8".into(),
            })?;
            let extension = Path::new(&name).extension().and_then(|e| e.to_str()).unwrap_or_default();
            // Hidden ones are another program's, half-written.
            if !name.starts_with('.') && EXTENSIONS.iter().any(|e| extension.eq_ignore_ascii_case(e)) {
                files.push(name);
            }
        }
        files.sort_unstable();
        let Some(first) = files.first() else {
            return Err(EvaluateError::NoImages { folder: path.to_owned() });
        };
        let first = path.join(first);
        let shape = header(&first)?;
        check_size(&first, shape)?;
        for name in &files[1..] {
            let file = path.join(name);
            let got = header(&file)?;
            if got != shape {
                let (expected, got) = (described(shape), described(got));
                return Err(EvaluateError::MixedImages { file, expected, got, first });
            }
        }
        Ok(Self { path: path.to_owned(), files, shape })
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    pub fn names(&self, range: Range<usize>) -> Vec<&str> {
        let stem = |name: &'_ String| name.rfind('.').unwrap_or(name.len());
        self.files[range].iter().map(|name| &name[..stem(name)]).collect()
    }

    pub fn read(&self, range: Range<usize>) -> Result<Vec<Pixels>, EvaluateError> {
        self.files[range].iter().map(|name| self.read_one(&self.path.join(name))).collect()
    }

    fn read_one(&self, file: &Path) -> Result<Pixels, EvaluateError> {
        let bad = |e: image::ImageError| bad_image(file, e);
        let image = DynamicImage::from_decoder(decoder(file)?).map_err(bad)?;
        let (height, width) = (image.height() as usize, image.width() as usize);
        let (channels, data) = match image {
            DynamicImage::ImageLuma8(grey) => (1, grey.into_raw()),
            DynamicImage::ImageRgb8(rgb) => (3, rgb.into_raw()),
            other => return Err(mode(file, other.color())),
        };
        let shape = [height, width, channels];
        if shape != self.shape {
            let reason = format!("it was {} and is now {}", described(self.shape), described(shape));
            return Err(EvaluateError::BadImage { file: file.to_owned(), reason });
        }
        Ok(Pixels { shape, data })
    }
}

/// A decoder that has read the header, whatever the extension says.
fn decoder(file: &Path) -> Result<impl ImageDecoder + use<>, EvaluateError> {
    let reader = BufReader::new(File::open(file).map_err(EvaluateError::io(file))?);
    let reader = ImageReader::new(reader).with_guessed_format().map_err(EvaluateError::io(file))?;
    reader.into_decoder().map_err(|e| bad_image(file, e))
}

/// `[H, W, C]` from the header.
fn header(file: &Path) -> Result<[usize; 3], EvaluateError> {
    let decoder = decoder(file)?;
    let (width, height) = decoder.dimensions();
    let channels = match decoder.color_type() {
        ColorType::L8 => 1,
        ColorType::Rgb8 => 3,
        other => return Err(mode(file, other)),
    };
    Ok([height as usize, width as usize, channels])
}

fn bad_image(file: &Path, error: image::ImageError) -> EvaluateError {
    match error {
        // The system's own refusal has a number; the decoder's complaints have none.
        image::ImageError::IoError(source) if source.raw_os_error().is_some() => {
            EvaluateError::Io { file: file.to_owned(), source }
        }
        other => EvaluateError::BadImage {
            file: file.to_owned(),
            reason: format!("not a readable image: {other}"),
        },
    }
}

fn mode(file: &Path, got: ColorType) -> EvaluateError {
    let reason = format!("the image is {got:?}; 8-bit grey (L8) or RGB (Rgb8) is needed");
    EvaluateError::BadImage { file: file.to_owned(), reason }
}

/// Size and mode in an error message.
fn described([height, width, channels]: [usize; 3]) -> String {
    format!("{width}×{height} {}", if channels == 1 { "grey" } else { "RGB" })
}
