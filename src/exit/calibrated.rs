//! `threshold:NAME[,force]`: an exit that was calibrated, with what that holds for
//! ([`Calibrated`](crate::calibrate::Calibrated)); refused elsewhere, unless forced.

use super::{Bounds, Departure, Exit, ExitError, Moment, Pair, RunFacts, Verdict, View};
use crate::calibrate::HoldsFor;

/// A calibrated exit.
pub struct CalibratedExit {
    /// As typed.
    spec: String,
    exit: Box<dyn Exit>,
    holds_for: HoldsFor,
    forced: bool,
}

impl CalibratedExit {
    /// An exit, typed as `spec`, that is refused where its calibration does not hold, unless forced.
    pub fn new(spec: String, exit: Box<dyn Exit>, holds_for: HoldsFor, forced: bool) -> Self {
        Self { spec, exit, holds_for, forced }
    }
}

impl Exit for CalibratedExit {
    fn spec(&self) -> String {
        self.spec.clone()
    }

    fn check(&self, run: &RunFacts) -> Result<(), ExitError> {
        match self.holds_for.differs(run).filter(|_| !self.forced) {
            Some((what, expected, got)) => {
                Err(ExitError::NotCalibratedFor { exit: self.spec(), what, expected, got })
            }
            None => self.exit.check(run),
        }
    }

    fn bounds(&self, moment: &Moment) -> Bounds {
        self.exit.bounds(moment)
    }

    fn runs_to_the_end(&self, moment: &Moment) -> bool {
        self.exit.runs_to_the_end(moment)
    }

    fn decides_at(&self, depth: usize) -> bool {
        self.exit.decides_at(depth)
    }

    fn pair(&self) -> Pair {
        self.exit.pair()
    }

    fn memory(&self) -> usize {
        self.exit.memory()
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        self.exit.judge(view)
    }

    fn left(&self, departure: &mut Departure) -> Result<(), ExitError> {
        self.exit.left(departure)
    }

    fn share(&self) -> Box<dyn Exit> {
        let (spec, holds_for) = (self.spec.clone(), self.holds_for.clone());
        Box::new(Self { spec, exit: self.exit.share(), holds_for, forced: self.forced })
    }
}
