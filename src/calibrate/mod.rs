//! Finding exits for a budget, and thresholds that keep a promise.
//!
//! Schedules are searched for: `Recording` (feature `evaluate`) measures what exits do to images, [`ErrorTable`] is what that comes to, and
//! [`Search`] solves it for every budget. Thresholds are settled by arithmetic on what rollouts gave: how many images
//! failed at a setting, what scores an estimator gave, what it cost.
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
#[cfg(feature = "evaluate")]
mod error_file;
mod file;
mod front;
mod gamma;
mod guarantee;
mod interplay;
mod overheard;
mod promised;
#[cfg(feature = "evaluate")]
mod recording;
mod search;
mod segments;
#[cfg(feature = "evaluate")]
mod trajectories;

pub use beta::Beta;
pub use beta_mixture::BetaMixture;
pub use budget::{AtBudget, ExitShares, Tried, exit_thresholds, one_threshold, shares_leaving};
pub use error::CalibrateError;
#[cfg(feature = "evaluate")]
pub use error_file::{RecordedWith, read_recordings, write_recordings};
pub use file::FileError;
pub use front::{FoundBy, Front, FrontError, FrontPoint};
pub use guarantee::{FixedSequence, Losses, Promise, Test};
pub use interplay::Interplay;
pub use overheard::overheard;
pub use promised::{Calibrated, HoldsFor, OnHeldOut, Settled, Tested};
#[cfg(feature = "evaluate")]
pub use recording::{Recording, spans};
pub use search::{Choice, ErrorTable, Search};
pub use segments::segments;
#[cfg(feature = "evaluate")]
pub use trajectories::{Look, Trajectories};
