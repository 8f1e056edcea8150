//! How good trained exits are on held-out images, and whether what decides to leave knows more than the time.
//!
//! Held-out images are noised at evenly spaced times and go through the network to its end ([`HeldOut`]). Of each
//! image at each time and exit a table keeps how far the exit's output is from the noise and from full depth's,
//! and the number that an exit policy would decide by ([`ExitTable`]). Everything else is worked out from that
//! table ([`ExitQuality`]).
//!
//! Errors fall with the time and with the depth whatever the image, so a number that is a function of (t, i)
//! alone already has a high rank correlation with them: a schedule in disguise. What is decided for each image is
//! what a number knows *within* a time and exit ([`Knowledge::within`]), and it shows in how much depths differ
//! between images at equal times ([`DepthSpread::within_time`]).

mod depths;
mod held_out;
mod knowledge;
mod quality;
mod ranks;
mod table;

pub use depths::DepthSpread;
pub use held_out::{HeldOut, Subject};
pub use knowledge::{Knowledge, Within};
pub use quality::{AtCost, ExitErrorRow, ExitQuality, SignalQuality, TENTHS};
pub use ranks::rank_correlation;
pub use table::{ExitTable, Signal, SignalKind};
