//! `gate:THRESHOLD` and `gate:q=QUANTILE`: leave where a trained gate says so.
//!
//! A gate gives λ_i, the probability of leaving after block i of an image that came so far. The first form leaves
//! at the first gate with λ_i ≥ the threshold. The second is PALBERT's Q-exit (Balagansky & Gavrilov 2022, arXiv
//! 2204.03276), which reads the gates as one distribution of the depth: it leaves once the probability of having
//! left by now, `1 − Π_{j ≤ i} (1 − λ_j)`, is above the quantile. Both are deterministic, and decided for each
//! image.

use std::fmt;
use std::str::FromStr;

use super::{
    Departure, Exit, ExitError, ExitSpecError, RunFacts, Threshold, ThresholdError, Verdict, View,
    other_weights,
};
use crate::learned::LearnedExits;

/// When a gate's word is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateRule {
    /// At a probability of leaving here of at least that.
    Probability(Threshold),
    /// At a probability of having left by here above that.
    Quantile(Threshold),
}

impl FromStr for GateRule {
    type Err = ThresholdError;

    /// What stands behind `gate:`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.strip_prefix("q=") {
            Some(quantile) => Ok(Self::Quantile(quantile.parse()?)),
            None => Ok(Self::Probability(s.parse()?)),
        }
    }
}

/// What stands behind `gate:`; defaults are left out.
impl fmt::Display for GateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probability(threshold) => write!(f, "{threshold}"),
            Self::Quantile(quantile) => write!(f, "q={quantile}"),
        }
    }
}

/// Leaves at the first exit whose gate says so.
///
/// Its uncertainty is one minus the probability that it compares.
#[derive(Debug)]
pub struct GateExit {
    rule: GateRule,
    exits: LearnedExits,
}

impl GateExit {
    /// Leaves as these exits' gates say.
    ///
    /// # Errors
    /// They have none.
    pub fn new(rule: GateRule, exits: &LearnedExits) -> Result<Self, ExitSpecError> {
        match exits.config().gate {
            Some(_) => Ok(Self { rule, exits: exits.share() }),
            None => Err(ExitSpecError::NotLearned { exit: format!("gate:{rule}"), part: "gate" }),
        }
    }
}

impl Exit for GateExit {
    fn spec(&self) -> String {
        format!("gate:{}", self.rule)
    }

    fn check(&self, run: &RunFacts) -> Result<(), ExitError> {
        other_weights(&self.spec(), &self.exits, run)
    }

    fn decides_at(&self, depth: usize) -> bool {
        self.exits.gate(depth).is_some()
    }

    /// For the quantile, each guidance half's probability of having left by now.
    fn memory(&self) -> usize {
        match self.rule {
            GateRule::Probability(_) => 0,
            GateRule::Quantile(_) => 2,
        }
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        let Some(gate) = self.exits.gate(view.depth) else { return Ok(None) };
        let here = gate.logit(view.hidden, view.temb)?.f_sigmoid()?.f_to(tch::Device::Cpu)?;
        let mut verdicts = Vec::with_capacity(view.image.len());
        for (row, here) in Vec::<f32>::try_from(here)?.into_iter().enumerate() {
            verdicts.push(match self.rule {
                GateRule::Probability(threshold) => Verdict {
                    leave: f64::from(here) >= threshold.value(),
                    uncertainty: 1.0 - here,
                    limit: Some((1.0 - threshold.value()) as f32),
                },
                GateRule::Quantile(quantile) => {
                    let left = &mut view.memory[view.image[row]][view.half[row]];
                    *left = 1.0 - (1.0 - *left) * (1.0 - f64::from(here));
                    Verdict {
                        leave: *left > quantile.value(),
                        uncertainty: (1.0 - *left) as f32,
                        limit: Some((1.0 - quantile.value()) as f32),
                    }
                }
            });
        }
        Ok(Some(verdicts))
    }

    /// The next evaluation begins anew.
    fn left(&self, departure: &mut Departure) -> Result<(), ExitError> {
        departure.memory.fill(0.0);
        Ok(())
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(Self { rule: self.rule, exits: self.exits.share() })
    }
}
