//! All the settings of a run, and those that proved good.

use serde::{Deserialize, Serialize};

use crate::train::{Augmentation, TrainError};

/// All that decides what weights come out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeaturesRecipe {
    /// Of the weights, the order of the images and their augmentation.
    pub seed: u64,
    /// Times that every image is seen.
    pub epochs: usize,
    /// Images per step.
    pub batch: usize,
    /// Parts of a batch, each with batch statistics of its own; at most so many threads are of use.
    pub shards: usize,
    /// Training images taken, from the first.
    pub images: usize,
    /// Highest learning rate.
    pub peak_rate: f64,
    /// Share of the steps that it takes to reach it.
    pub warm_up: f64,
    /// β₁ and β₂ of AdamW.
    pub betas: [f64; 2],
    /// λ of AdamW, on kernels and matrices; biases and norms do not decay.
    pub weight_decay: f64,
    /// Longest gradient.
    pub max_gradient: f64,
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// Decay of the average of the weights, a step; the average is what is kept.
    pub average: f64,
    /// How images are changed.
    pub augmentation: Augmentation,
}

impl Default for FeaturesRecipe {
    fn default() -> Self {
        Self {
            seed: 0,
            epochs: 10,
            batch: 128,
            shards: 2,
            images: 60_000,
            peak_rate: 4e-3,
            warm_up: 0.2,
            betas: [0.9, 0.99],
            weight_decay: 0.05,
            max_gradient: 1.0,
            label_smoothing: 0.05,
            average: 0.998,
            augmentation: Augmentation { shift: 1, mirror: true },
        }
    }
}

impl FeaturesRecipe {
    pub(super) fn steps_per_epoch(&self) -> usize {
        self.images / self.batch // the rest of an epoch's order, less than a batch, is left out
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> usize {
        self.epochs * self.steps_per_epoch()
    }

    pub(super) fn check(&self, there: usize) -> Result<(), TrainError> {
        let refuse =
            |setting, got: usize, reason| Err(TrainError::Setting { setting, got: got.to_string(), reason });
        match self {
            r if r.epochs == 0 => refuse("epochs", 0, "at least one is needed"),
            r if r.shards == 0 => refuse("shards", 0, "at least one is needed"),
            r if r.images > there => refuse("images", r.images, "the data set has fewer"),
            r if r.batch == 0 || r.batch > r.images => {
                refuse("batch", r.batch, "it must be at least 1 and at most the number of images")
            }
            r if r.batch % r.shards != 0 || r.batch / r.shards < 2 => {
                refuse("batch", r.batch, "its shards must be equal, and of two images at least")
            }
            _ => Ok(()),
        }
    }
}
