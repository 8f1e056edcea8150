//! `fixed:D`: leave after the same block at every evaluation; the plainest baseline.

use super::{Bounds, Exit, ExitError, Moment, RunFacts};

/// Leaves after `depth` blocks, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// Blocks run, 1 … N.
    pub depth: usize,
}

impl Exit for Fixed {
    fn spec(&self) -> String {
        format!("fixed:{}", self.depth)
    }

    fn check(&self, run: &RunFacts) -> Result<(), ExitError> {
        if (1..=run.depth).contains(&self.depth) {
            return Ok(());
        }
        Err(ExitError::Depth { exit: self.spec(), asked: self.depth, depth: run.depth })
    }

    fn bounds(&self, _moment: &Moment) -> Bounds {
        Bounds::exactly(self.depth)
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(*self)
    }
}
