//! An exit policy says where an evaluation leaves the backbone, image by image.
//!
//! First it bounds the depth before the network runs ([`Exit::bounds`]; a schedule is only that). Then, after
//! every block inside those bounds, it may look at the hidden states ([`Exit::judge`]) and let images go.
//! It is shown the rows that are still undecided, several images at a time; the verdict on one image must
//! not depend on the others, which is the policy's part of the bargain.

mod best;
mod calibrated;
mod change;
mod error;
mod fixed;
mod full;
mod gate;
mod limited;
mod limits;
mod patience;
mod rule;
mod schedule;
mod similarity;
mod spec;
mod spec_error;
mod step_mask;
mod threshold;
mod uncertainty;
mod view;

pub use best::{Best, FRONT};
pub use calibrated::CalibratedExit;
pub use change::{Change, ChangeError};
pub use error::ExitError;
pub use fixed::Fixed;
pub use full::Full;
pub use gate::{GateExit, GateRule};
pub use limited::{Edge, Limited};
pub use limits::{LimitError, LimitSpec, Limits, LimitsSpec};
pub use patience::{Patience, PatienceError};
pub use rule::{Budget, Rule};
pub use schedule::{Measured, Provenance, Schedule, ScheduleError, Segment};
pub use similarity::Similarity;
pub use spec::{ExitSpec, find_schedule, schedule_names};
pub use spec_error::ExitSpecError;
pub use step_mask::StepMask;
pub use threshold::{Threshold, ThresholdError};
pub use uncertainty::Uncertainty;
pub use view::{Bounds, Departure, Memory, Moment, Pair, RunFacts, Verdict, View};

use crate::learned::LearnedExits;

/// Refuses a model whose exits these are not.
fn other_weights(exit: &str, exits: &LearnedExits, run: &RunFacts) -> Result<(), ExitError> {
    let expected = &exits.config().weights_sha256;
    match expected == run.weights_sha256 {
        true => Ok(()),
        false => Err(ExitError::OtherWeights {
            exit: exit.into(),
            expected: expected.clone(),
            got: run.weights_sha256.into(),
        }),
    }
}

/// A policy that was chosen at run time is one too.
impl Exit for Box<dyn Exit> {
    fn spec(&self) -> String {
        (**self).spec()
    }

    fn around(&self) -> Option<&dyn Exit> {
        Some(&**self)
    }

    fn share(&self) -> Box<dyn Exit> {
        (**self).share()
    }
}

/// A rule for leaving early.
pub trait Exit: Send {
    /// The policy as one would type it (`schedule:ase-demo`).
    fn spec(&self) -> String;

    /// The policy that this one is put around, if it is: whatever it does not do itself goes there.
    fn around(&self) -> Option<&dyn Exit> {
        None
    }

    /// Refuses a run that the policy was not made for.
    fn check(&self, run: &RunFacts) -> Result<(), ExitError> {
        self.around().map_or(Ok(()), |exit| exit.check(run))
    }

    /// The depths between which an evaluation may leave; by default anywhere. Which exits a remembering tail learns at
    /// is found from the bounds of images that remember nothing yet: what is remembered may only raise them.
    fn bounds(&self, moment: &Moment) -> Bounds {
        self.around().map_or(Bounds { min: 1, max: moment.depth }, |exit| exit.bounds(moment))
    }

    /// Whether an evaluation runs to the end whatever the policy sees there, though its bounds let it look: a
    /// remembering tail then keeps nothing for the exits that it passes.
    fn runs_to_the_end(&self, moment: &Moment) -> bool {
        self.around().is_some_and(|exit| exit.runs_to_the_end(moment))
    }

    /// Whether it may let images go after `depth` blocks, where that is inside its bounds; elsewhere it is not
    /// asked.
    fn decides_at(&self, depth: usize) -> bool {
        self.around().is_none_or(|exit| exit.decides_at(depth))
    }

    /// What its verdicts on the two rows of a guided image come to.
    fn pair(&self) -> Pair {
        self.around().map_or(Pair::Max, |exit| exit.pair())
    }

    /// How many numbers it remembers of each image.
    fn memory(&self) -> usize {
        self.around().map_or(0, |exit| exit.memory())
    }

    /// Which rows may leave now, one verdict a row; asked at every exit point for the rows that stand
    /// inside their bounds. `None`: the policy never looks, time decides.
    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        self.around().map_or(Ok(None), |exit| exit.judge(view))
    }

    /// Hears where an image left, once an evaluation, so that what it remembers may follow what happened: its
    /// word to leave is overruled where the image's other half must stay, or the tail is not ready.
    fn left(&self, departure: &mut Departure) -> Result<(), ExitError> {
        self.around().map_or(Ok(()), |exit| exit.left(departure))
    }

    /// The same policy for another thread.
    fn share(&self) -> Box<dyn Exit>;
}
