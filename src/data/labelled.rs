//! Images with their classes, in memory.

use tch::{Kind, Tensor};

use super::DataError;

/// 8-bit images and a label for each.
#[derive(Debug)]
pub struct LabelledImages {
    /// u8 `[N, H, W, C]`.
    pub images: Tensor,
    /// i64 `[N]`.
    pub labels: Tensor,
}

impl LabelledImages {
    /// Grey images from bytes, `shape` = `[N, H, W]`, and N labels.
    ///
    /// # Errors
    /// libtorch refuses, as it does where the counts do not agree.
    pub fn grey(shape: [usize; 3], pixels: &[u8], labels: &[u8]) -> Result<Self, DataError> {
        let [n, h, w] = shape.map(|d| d as i64);
        let images = Tensor::f_from_slice(pixels)?.f_view([n, h, w, 1])?; // [N, H, W, 1]
        let labels = Tensor::f_from_slice(labels)?.f_view([n])?.f_to_kind(Kind::Int64)?;
        Ok(Self { images, labels })
    }

    /// N.
    pub fn len(&self) -> usize {
        self.labels.numel()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Images `from` … `from + count` − 1, or as many of them as there are; nothing is copied.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn narrow(&self, from: usize, count: usize) -> Result<Self, DataError> {
        let from = from.min(self.len());
        let (from, count) = (from as i64, count.min(self.len() - from) as i64);
        Ok(Self {
            images: self.images.f_narrow(0, from, count)?,
            labels: self.labels.f_narrow(0, from, count)?,
        })
    }

    /// The images of these indices, i64 `[M]`, as a copy.
    ///
    /// # Errors
    /// An index is out of range.
    pub fn select(&self, indices: &Tensor) -> Result<Self, DataError> {
        Ok(Self {
            images: self.images.f_index_select(0, indices)?,
            labels: self.labels.f_index_select(0, indices)?,
        })
    }
}
