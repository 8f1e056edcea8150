//! From images to rows of the network's batch and back: a guided image is two adjacent rows.

use tch::{Device, Kind, TchError, Tensor};

use super::slot::Slot;
use crate::backbone::row_index;
use crate::guidance::Guidance;

/// The rows that a batch of images makes.
pub(crate) struct GuidedRows {
    /// The image of each row, as an index into the batch.
    pub image: Vec<usize>,
    /// Each row's half: 0 conditional, 1 unconditional.
    pub half: Vec<usize>,
    /// Each row's real time.
    pub t: Vec<f64>,
    class: Vec<i64>,
    /// Each image's conditional row.
    first: Vec<usize>,
    /// Whether an image's unconditional row follows.
    guided: Vec<bool>,
}

impl GuidedRows {
    /// One row for each image at its time `t`, two where guidance acts.
    ///
    /// `null` is the class that stands for "no label".
    pub fn new(slots: &[Slot], t: &[f64], guidance: &Guidance, null: i64) -> Self {
        let mut rows =
            Self { image: vec![], half: vec![], t: vec![], class: vec![], first: vec![], guided: vec![] };
        for (k, slot) in slots.iter().enumerate() {
            // Without a class both halves would be the same.
            let guided = slot.class.is_some() && guidance.acts_at(t[k]);
            rows.first.push(rows.image.len());
            rows.guided.push(guided);
            let halves = [slot.class.unwrap_or(null), null].into_iter().enumerate();
            for (half, class) in halves.take(1 + usize::from(guided)) {
                rows.image.push(k);
                rows.half.push(half);
                rows.t.push(t[k]);
                rows.class.push(class);
            }
        }
        rows
    }

    /// How many rows an image has.
    pub fn of(&self, image: usize) -> usize {
        1 + usize::from(self.guided[image])
    }

    /// `[B, …]` by image to `[R, …]` by row.
    pub fn spread(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match self.guided.contains(&true) {
            true => x.f_index_select(0, &row_index(&self.image, x)?),
            false => Ok(x.shallow_clone()),
        }
    }

    /// Times `[R]` f32 and classes `[R]` i64, as the network takes them.
    pub fn conditions(&self, device: Device) -> Result<(Tensor, Tensor), TchError> {
        let t = Tensor::f_from_slice(&self.t)?.f_to_kind(Kind::Float)?.f_to_device(device)?;
        Ok((t, Tensor::f_from_slice(&self.class)?.f_to_device(device)?))
    }

    /// The network's outputs `[R, C', H, W]` by row to guided ones `[B, C', H, W]` by image.
    pub fn join(&self, output: &Tensor, guidance: &Guidance, channels: i64) -> Result<Tensor, TchError> {
        guidance.combine(output, &self.first, &self.guided, channels)
    }
}
