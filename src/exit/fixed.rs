//! `fixed:D`: leave after the same block at every evaluation; the plainest baseline.

use super::{Bounds, Exit, ExitError, ModelFacts};

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

    fn check(&self, model: &ModelFacts) -> Result<(), ExitError> {
        if (1..=model.depth).contains(&self.depth) {
            return Ok(());
        }
        Err(ExitError::Depth { exit: self.spec(), asked: self.depth, depth: model.depth })
    }

    fn bounds(&self, _t: f64, _depth: usize) -> Bounds {
        Bounds { min: self.depth, max: self.depth }
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(*self)
    }
}
