//! What settings of an exit policy keep: a risk with a confidence, a cost on average, a share of certainty.
//!
//! Everything here is arithmetic on numbers that were measured elsewhere: how many images failed at a setting, what
//! scores an estimator gave, what a rollout cost. Nothing draws an image.
//!
//! - [`Promise`] tests settings from safe to fast and keeps the last that is safe with a stated confidence (CALM,
//!   Learn-then-Test).
//! - [`one_threshold`] and [`ExitShares`] spend a budget on average, with one threshold or with one at each exit (EERO).
//! - [`BetaMixture`] reads a threshold off the confidences themselves (FREE).

mod beta;
mod beta_mixture;
mod binomial;
mod budget;
mod error;
mod gamma;
mod guarantee;

pub use beta::Beta;
pub use beta_mixture::BetaMixture;
pub use budget::{AtBudget, ExitShares, Tried, exit_thresholds, one_threshold, shares_leaving};
pub use error::CalibrateError;
pub use guarantee::{FixedSequence, Losses, Promise, Test};
