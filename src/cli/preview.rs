//! `--preview-every K`: what the first images look like so far, as contact sheets of predicted x0.

use std::collections::BTreeMap;
use std::path::PathBuf;

use offramp::Evaluated;
use offramp::output::{OutputError, Pixels, write_sheet};

/// At most so many images are on a preview.
const SHOWN: usize = 16;

/// Collects predicted x0 and writes `preview/evaluation-EEEE.png` when all shown images got there.
pub struct Preview {
    folder: PathBuf,
    every: usize,
    shown: Vec<usize>,
    value_range: [f64; 2],
    pending: BTreeMap<usize, BTreeMap<usize, Pixels>>,
}

impl Preview {
    /// Previews the first of the `drawn` images into `folder` after every `every` evaluations.
    pub fn new(
        folder: PathBuf,
        every: usize,
        drawn: impl Iterator<Item = usize>,
        value_range: [f64; 2],
    ) -> Self {
        Self { folder, every, shown: drawn.take(SHOWN).collect(), value_range, pending: BTreeMap::new() }
    }

    /// Takes an evaluation in.
    pub fn see(&mut self, event: &Evaluated) -> Result<(), OutputError> {
        let number = event.evaluation + 1;
        if !number.is_multiple_of(self.every) || !self.shown.contains(&event.image) {
            return Ok(());
        }
        let images = self.pending.entry(number).or_default();
        images.insert(event.image, Pixels::from_tensor(&event.x0, self.value_range)?);
        if images.len() < self.shown.len() {
            return Ok(());
        }
        let images: Vec<Pixels> = self.pending.remove(&number).unwrap_or_default().into_values().collect();
        let columns = (images.len() as f64).sqrt().ceil() as usize;
        write_sheet(&self.folder.join(format!("evaluation-{number:04}.png")), &images, columns)
    }
}
