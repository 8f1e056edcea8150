//! How far a set of images is from another: Fréchet distance, KID, precision and recall, and what the
//! same seeds became.
//!
//! Images are streamed through an [`Extractor`](crate::extract::Extractor) in micro-batches of fixed size
//! into a [`FeatureSet`]; its [`Statistics`] are gathered on the way. Everything behind the network is f64.

mod bootstrap;
mod error;
mod estimate;
pub mod exits;
mod extraction;
mod feature_set;
mod frechet;
mod images;
mod in_order;
mod inception_score;
mod kid;
mod linear_algebra;
mod manifold;
mod metric_error;
mod paired;
mod shard;
mod source;
mod ssim;
mod statistics;

pub use crate::data::ArrayError;
pub use bootstrap::Bootstrap;
pub use error::EvaluateError;
pub use estimate::{Estimate, Interval};
pub use extraction::{Extracted, Extraction, ExtractionProgress};
pub use feature_set::FeatureSet;
pub use frechet::{Gaussian, frechet_distance, frechet_distance_of_features};
pub use images::ImageSet;
pub(crate) use in_order::in_order;
pub use inception_score::{InceptionScore, SplitScore};
pub use kid::{Kid, KidOptions, kid, kid_of_subsets};
pub use manifold::{Manifold, ManifoldOptions, manifold};
pub use metric_error::MetricError;
pub use paired::{Fidelity, PairedImages};
pub use shard::Shard;
pub use source::Source;
pub use statistics::Statistics;
