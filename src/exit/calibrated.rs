//! `threshold:NAME[,force]`: an exit that was calibrated, with what that holds for
//! ([`Calibrated`](crate::calibrate::Calibrated)); refused elsewhere, unless forced.

use super::{Exit, ExitError, RunFacts};
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

    fn around(&self) -> Option<&dyn Exit> {
        Some(&*self.exit)
    }

    fn check(&self, run: &RunFacts) -> Result<(), ExitError> {
        match self.holds_for.differs(run).filter(|_| !self.forced) {
            Some((what, expected, got)) => {
                Err(ExitError::NotCalibratedFor { exit: self.spec(), what, expected, got })
            }
            None => self.exit.check(run),
        }
    }

    fn share(&self) -> Box<dyn Exit> {
        let (spec, holds_for) = (self.spec.clone(), self.holds_for.clone());
        Box::new(Self { spec, exit: self.exit.share(), holds_for, forced: self.forced })
    }
}
