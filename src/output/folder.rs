//! The output folder: `NNNNNN.png` by image index, checked before the first evaluation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{OutputError, Parameters, RunParameters, png};

/// What to do with images that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse the folder.
    Refuse,
    /// Keep them and draw the missing ones.
    Resume,
    /// Draw all, replacing them.
    Overwrite,
}

/// A folder that images go into.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
}

impl OutputFolder {
    /// Makes the folder if needed and checks that it can be written to.
    pub fn open(path: &Path, existing: Existing) -> Result<Self, OutputError> {
        let not_writable = |source| OutputError::NotWritable { folder: path.to_owned(), source };
        if existing == Existing::Refuse && path.is_dir() {
            let images = fs::read_dir(path)
                .map_err(not_writable)?
                .flatten()
                .filter(|e| is_image_name(&e.file_name().to_string_lossy()))
                .count();
            if images > 0 {
                return Err(OutputError::HoldsImages { folder: path.to_owned(), images });
            }
        }
        fs::create_dir_all(path).map_err(not_writable)?;
        check_writable(path)?;
        if existing != Existing::Refuse {
            clear(path, existing).map_err(not_writable)?;
        }
        Ok(Self { path: path.to_owned() })
    }

    /// The file of image `k`.
    pub fn image(&self, k: usize) -> PathBuf {
        self.path.join(format!("{k:06}.png"))
    }

    /// The parameters of the first of `count` images that is there.
    pub fn first(&self, count: usize) -> Result<Option<Parameters>, OutputError> {
        let found = (0..count).map(|k| self.image(k)).find(|file| file.exists());
        found.map(|file| png::read_parameters(&file)).transpose()
    }

    /// Which of `count` images are there, made with the same settings.
    ///
    /// # Errors
    /// One of them was made with other settings, or cannot be read.
    pub fn finished(&self, count: usize, run: &RunParameters) -> Result<BTreeSet<usize>, OutputError> {
        let mut finished = BTreeSet::new();
        for k in (0..count).filter(|&k| self.image(k).exists()) {
            let file = self.image(k);
            let found = png::read_parameters(&file)?;
            png::read_png(&file)?; // whole, not only its header
            let renamed = ("image".to_owned(), k.to_string(), found.image.image.to_string());
            let difference = run.difference(&found.run).or((found.image.image != k).then_some(renamed));
            if let Some((field, expected, got)) = difference {
                return Err(OutputError::OtherSettings { file, field, expected, got });
            }
            finished.insert(k);
        }
        Ok(finished)
    }
}

/// Whether a file name is one that [`OutputFolder::image`] gives: six digits or more, `.png`.
pub fn is_image_name(name: &str) -> bool {
    let stem = name.strip_suffix(".png").unwrap_or_default();
    stem.len() >= 6 && stem.bytes().all(|b| b.is_ascii_digit())
}

/// Removes what a killed run left half-written and, when overwriting, the numbered images: a folder never
/// holds images of two runs.
fn clear(folder: &Path, existing: Existing) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let partial = name.strip_prefix('.').and_then(|n| n.split_once(".part-"));
        let image = is_image_name(&name) && existing == Existing::Overwrite;
        if image || partial.is_some_and(|(whole, _)| is_image_name(whole)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Checks that files can be made in `folder`, by making one.
pub fn check_writable(folder: &Path) -> Result<(), OutputError> {
    let probe = folder.join(format!(".offramp-{}", std::process::id()));
    let made = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe));
    made.map_err(|source| OutputError::NotWritable { folder: folder.to_owned(), source })
}
