//! Training.
//!
//! A run is a folder: its settings, its metrics, its latest checkpoint, and in the end the weights. What
//! happens at a step follows from the seed and the step alone, so that a run that was killed goes on as if
//! nothing had been, and the number of threads changes the time it takes and nothing else.
//!
//! [`FeaturesRun`] makes the weights of the extractor `fashion-features`. The parts that it is made of
//! serve any network: [`AdamW`] and [`clip_gradients`], [`WarmupCosine`], [`epoch_order`], [`average_into`],
//! [`RunFolder`].

mod augment;
mod average;
mod checkpoint;
mod error;
mod features;
mod gradient;
mod optimizer;
mod order;
mod run_folder;
mod schedule;

pub use augment::{Augmentation, augment};
pub use average::average_into;
pub use checkpoint::TrainState;
pub use error::TrainError;
pub use features::{FeaturesOutcome, FeaturesRecipe, FeaturesRun, StepReport};
pub use gradient::clip_gradients;
pub use optimizer::AdamW;
pub use order::epoch_order;
pub use run_folder::RunFolder;
pub use schedule::WarmupCosine;
