//! What a bench says while it runs.

use std::ops::ControlFlow;

use super::{Point, Row};

/// Hears how far a bench is; `Break` stops it, with all that is finished kept.
pub type Tell<'a> = dyn FnMut(Told) -> ControlFlow<()> + 'a;

/// What a bench tells its caller on the way.
#[derive(Debug)]
#[non_exhaustive]
pub enum Told<'a> {
    /// Drawing begins; `left` times a point draws a round.
    Drawing {
        /// Rounds of points that are missing.
        left: usize,
        /// Rounds.
        rounds: usize,
        /// Points.
        points: usize,
    },
    /// A point drew a round.
    Drawn {
        /// The point.
        point: &'a Point,
        /// The round.
        round: usize,
        /// Images drawn.
        images: usize,
        /// Seconds that took.
        seconds: f64,
    },
    /// A point failed, and is left out from here on.
    Failed {
        /// The point.
        point: &'a Point,
        /// Why.
        reason: &'a str,
    },
    /// Something slow begins.
    Working {
        /// What.
        what: &'a str,
    },
    /// A row is finished.
    Finished {
        /// The row.
        row: &'a Row,
    },
    /// Nothing new, but a good moment to stop.
    Tick,
}

/// Asks whether to go on.
pub(super) fn go_on(tell: &mut Tell) -> bool {
    tell(Told::Tick) == ControlFlow::Continue(())
}
