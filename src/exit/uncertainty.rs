//! `uncertainty:THRESHOLD`: leave where a trained estimator thinks the output good enough
//! (DeeDiff/AdaDiff, Tang et al., arXiv 2309.17074), decided for each image instead of for the batch.
//!
//! At each depth that has an estimator: where its number is an uncertainty, the image leaves below the threshold;
//! where it is a certainty, above it. So a threshold of 0 never leaves by uncertainty and practically always by
//! certainty. An image that nothing lets go runs to the end.

use super::{Exit, ExitError, ExitSpecError, RunFacts, Threshold, Verdict, View, other_weights};
use crate::learned::{LearnedExits, Quantity};

/// Leaves at the first exit whose estimator passes the threshold.
///
/// In traces its uncertainty is the estimator's, or one minus its certainty.
#[derive(Debug)]
pub struct Uncertainty {
    threshold: Threshold,
    exits: LearnedExits,
}

impl Uncertainty {
    /// Leaves as these exits' estimators say.
    ///
    /// # Errors
    /// They have none.
    pub fn new(threshold: Threshold, exits: &LearnedExits) -> Result<Self, ExitSpecError> {
        match exits.config().estimator {
            Some(_) => Ok(Self { threshold, exits: exits.share() }),
            None => Err(ExitSpecError::NotLearned { exit: spec(&threshold), part: "estimator" }),
        }
    }
}

/// The policy as typed.
pub(super) fn spec(threshold: &Threshold) -> String {
    format!("uncertainty:{threshold}")
}

impl Exit for Uncertainty {
    fn spec(&self) -> String {
        spec(&self.threshold)
    }

    fn check(&self, run: &RunFacts) -> Result<(), ExitError> {
        other_weights(&self.spec(), &self.exits, run)
    }

    fn decides_at(&self, depth: usize) -> bool {
        self.exits.estimator(depth).is_some()
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        let Some(estimator) = self.exits.estimator(view.depth) else { return Ok(None) };
        let numbers = estimator.per_image(view.hidden, view.temb)?.f_to(tch::Device::Cpu)?;
        let threshold = self.threshold.value();
        let verdict = |number: f32| match estimator.quantity() {
            Quantity::Uncertainty => Verdict::below(number, threshold),
            Quantity::Certainty => Verdict {
                leave: f64::from(number) > threshold,
                uncertainty: 1.0 - number,
                limit: Some((1.0 - threshold) as f32),
            },
        };
        Ok(Some(Vec::<f32>::try_from(numbers)?.into_iter().map(verdict).collect()))
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(Self { threshold: self.threshold, exits: self.exits.share() })
    }
}
