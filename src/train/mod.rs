//! Training.
//!
//! A run is a folder: its settings, its metrics, its latest checkpoint, and in the end the weights. What
//! happens at a step follows from the seed and the step alone, so that a run that was killed goes on as if
//! nothing had been, and the number of threads changes the time it takes and nothing else.
//!
//! [`train_backbone`] trains a denoiser, [`train_exits`] its exits; [`FeaturesRun`] makes the weights of the extractor
//! `fashion-features`. The parts that they are made of serve any network: [`AdamW`] and [`clip_gradients`], [`WarmupCosine`], [`epoch_order`], [`average_into`],
//! [`RunFolder`].

mod augment;
mod average;
mod backbone;
mod checkpoint;
mod divergence;
mod error;
mod examples;
mod exits;
mod features;
mod gradient;
mod learner;
mod loss_plot;
mod memory;
mod network;
mod objective;
mod optimizer;
mod order;
mod origin;
mod recipe;
mod run;
mod run_folder;
mod samples;
mod schedule;
mod weighting;
mod workers;

pub use augment::{Augmentation, augment};
pub use average::average_into;
pub use backbone::train_backbone;
pub use checkpoint::TrainState;
pub use error::TrainError;
pub use exits::{DeediffTerms, ExitsRecipe, GateTable, Method, Tune, train_exits};
pub use features::{FeaturesOutcome, FeaturesRecipe, FeaturesRun, StepReport};
pub use gradient::clip_gradients;
pub use loss_plot::loss_svg;
pub use optimizer::AdamW;
pub use order::epoch_order;
pub use origin::Origin;
pub use recipe::{Arithmetic, Recipe};
pub use run::{Pace, Place, TrainRun, TrainStep};
pub use run_folder::RunFolder;
pub use schedule::WarmupCosine;
pub use weighting::Weighting;
