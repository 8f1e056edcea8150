//! Fashion-MNIST in memory that threads can share, and batches of it.

use tch::{TchError, Tensor};

use super::FeaturesRecipe;
use super::shards::Batch;
use crate::data::LabelledImages;
use crate::train::augment;

/// Images per forward when accuracy is measured.
const TEST_BATCH: usize = 100;

/// Grey images and labels in memory that threads can share.
pub(super) struct GreyImages {
    pub pixels: Vec<u8>, // [N, H, W]
    pub labels: Vec<i64>,
    size: [usize; 2],
}

impl GreyImages {
    /// Out of tensors.
    pub fn new(data: &LabelledImages) -> Result<Self, TchError> {
        let (_, h, w, _) = data.images.size4()?;
        Ok(Self {
            pixels: Vec::try_from(data.images.f_contiguous()?.f_view(-1)?)?,
            labels: Vec::try_from(&data.labels)?,
            size: [h as usize, w as usize],
        })
    }

    /// The first n.
    pub fn first(mut self, n: usize) -> Self {
        self.labels.truncate(n);
        self.pixels.truncate(n * self.size[0] * self.size[1]);
        self
    }

    fn image(&self, i: usize) -> &[u8] {
        let n = self.size[0] * self.size[1];
        &self.pixels[i * n..][..n]
    }

    /// These images, each changed as epoch and seed say.
    pub fn augmented(
        &self,
        indices: &[usize],
        recipe: &FeaturesRecipe,
        epoch: usize,
    ) -> Result<Batch, TchError> {
        self.batch(indices.iter().copied(), |i, into| {
            let draw = [recipe.seed, epoch as u64, i as u64];
            augment(self.image(i), self.size, into, recipe.augmentation, draw);
        })
    }

    /// Every `shards`-th batch, from batch s, unchanged.
    pub fn shard(&self, s: usize, shards: usize) -> Result<Vec<Batch>, TchError> {
        let n = self.labels.len();
        let batches = (s * TEST_BATCH..n).step_by(shards * TEST_BATCH);
        let batch = |from: usize| {
            self.batch(from..n.min(from + TEST_BATCH), |i, into| {
                for (value, &pixel) in into.iter_mut().zip(self.image(i)) {
                    *value = f32::from(pixel) / 255.0;
                }
            })
        };
        batches.map(batch).collect()
    }

    fn batch(
        &self,
        indices: impl Iterator<Item = usize> + Clone,
        mut write: impl FnMut(usize, &mut [f32]),
    ) -> Result<Batch, TchError> {
        let labels: Vec<i64> = indices.clone().map(|i| self.labels[i]).collect();
        let [h, w] = self.size;
        let mut values = vec![0f32; labels.len() * h * w];
        for (i, into) in indices.zip(values.chunks_exact_mut(h * w)) {
            write(i, into);
        }
        let images = Tensor::f_from_slice(&values)?.f_view([labels.len() as i64, 1, h as i64, w as i64])?;
        Ok((images, Tensor::f_from_slice(&labels)?))
    }
}
