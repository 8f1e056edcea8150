//! Images and labels as a pair of IDX files.

use std::path::{Path, PathBuf};

use super::channels::{self, append_channels_first};
use super::fashion::present;
use super::training_set::Content;
use super::{DataError, Idx, Wanted, labels};

/// What the images of a training set are called, by rank, and its labels; plain or `.gz`.
const IMAGES: [&str; 2] = ["train-images-idx3-ubyte", "train-images-idx4-ubyte"];
const LABELS: &str = "train-labels-idx1-ubyte";
/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// The two files.
pub(super) struct IdxPair {
    /// Bytes, `[N, H, W]` or `[N, H, W, C]`.
    pub images: PathBuf,
    /// Bytes, `[N]`.
    pub labels: PathBuf,
}

impl IdxPair {
    /// The pair in a folder that has at least one of the two: that the other is missing is an error of the pair.
    pub fn find(folder: &Path) -> Option<Self> {
        let images = IMAGES.iter().find_map(|name| present(folder, name));
        let labels = present(folder, LABELS);
        (images.is_some() || labels.is_some()).then(|| Self {
            images: images.unwrap_or_else(|| folder.join(IMAGES[0])),
            labels: labels.unwrap_or_else(|| folder.join(LABELS)),
        })
    }

    /// Reads both.
    pub fn read(&self, wanted: &Wanted) -> Result<Content, DataError> {
        match Idx::<3>::open(&self.images) {
            Ok(images) => {
                let [_, h, w] = images.shape();
                self.read_images(images, [h, w, 1], wanted)
            }
            Err(DataError::Rank { got: 4, .. }) => {
                let images = Idx::<4>::open(&self.images)?;
                let [_, h, w, c] = images.shape();
                self.read_images(images, [h, w, c], wanted)
            }
            Err(error) => Err(error),
        }
    }

    fn read_images<const RANK: usize>(
        &self,
        mut images: Idx<RANK>,
        [h, w, c]: [usize; 3],
        wanted: &Wanted,
    ) -> Result<Content, DataError> {
        wanted.check_size(&self.images, [h, w])?;
        channels::check(&self.images, [c, wanted.shape[0]])?;
        images.check_unpacked()?;
        let labels = Idx::<1>::open(&self.labels)?;
        labels.check_unpacked()?;
        let labels = labels.read_all()?;
        labels::check(&self.labels, images.shape()[0], &labels, wanted.classes)?;
        let mut content =
            Content { labels: labels.into_iter().map(i64::from).collect(), ..Content::default() };
        let mut image = 0;
        while let Some(records) = images.next_records((CHUNK / images.record()).max(1))? {
            for pixels in records.chunks_exact(images.record()) {
                let to = &mut content.pixels;
                append_channels_first(pixels, [c, wanted.shape[0]], to, &self.images, Some(image))?;
                image += 1;
            }
        }
        Ok(content)
    }
}
