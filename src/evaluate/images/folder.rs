//! A folder of PNG and JPEG images.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::check_size;
use crate::data::DataError;
use crate::data::image_file::{ImageFile, image_names};
use crate::evaluate::EvaluateError;
use crate::output::Pixels;

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    files: Vec<String>,
    shape: [usize; 3],
}

impl Folder {
    /// Lists the images and reads every header.
    pub fn open(path: &Path) -> Result<Self, EvaluateError> {
        let files = image_names(path)?;
        let Some(first) = files.first() else {
            return Err(EvaluateError::NoImages { folder: path.to_owned() });
        };
        let first = path.join(first);
        let shape = ImageFile::open(&first)?.shape();
        check_size(&first, shape)?;
        for name in &files[1..] {
            let file = path.join(name);
            let got = ImageFile::open(&file)?.shape();
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
        let image = ImageFile::open(file)?;
        let shape = image.shape();
        if shape != self.shape {
            let reason = format!("it was {} and is now {}", described(self.shape), described(shape));
            return Err(DataError::BadImage { file: file.to_owned(), reason }.into());
        }
        let data = image.pixels()?;
        Ok(Pixels { shape, data })
    }
}

/// Size and mode in an error message.
fn described([height, width, channels]: [usize; 3]) -> String {
    format!("{width}×{height} {}", if channels == 1 { "grey" } else { "RGB" })
}
