//! The grammar of an exit's rule: `full`, `fixed:D`, `schedule:NAME-or-FILE`, `uncertainty:THRESHOLD`,
//! `gate:THRESHOLD`, `similarity:THRESHOLD`, `change:THRESHOLD`, `patience:COUNT`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::{
    Change, Exit, ExitSpecError, Fixed, Full, GateExit, GateRule, Patience, Schedule, Similarity, Threshold,
    ThresholdError, Uncertainty, find_schedule, uncertainty,
};
use crate::learned::LearnedExits;

/// What decides where an image leaves, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// Every block, always.
    Full,
    /// The same depth always.
    Fixed(usize),
    /// A schedule by name (for the weights in use) or by file.
    Schedule(String),
    /// Where the weights' estimators pass a threshold.
    Uncertainty(Threshold),
    /// Where the weights' gates say so.
    Gate(GateRule),
    /// Where successive states are alike.
    Similarity(Threshold),
    /// Below a change of the first blocks' residual.
    Change(Change),
    /// Where exits have agreed so many times.
    Patience(Patience),
}

impl FromStr for Rule {
    type Err = ExitSpecError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.split_once(':') {
            None if s == "full" => Ok(Self::Full),
            Some(("fixed", depth)) => match depth.parse() {
                Ok(depth) if depth > 0 => Ok(Self::Fixed(depth)),
                _ => Err(ExitSpecError::Depth { got: depth.into() }),
            },
            Some(("schedule", name)) if !name.is_empty() => Ok(Self::Schedule(name.into())),
            Some(("uncertainty", rest)) => {
                Ok(Self::Uncertainty(rest.parse().map_err(threshold("uncertainty", rest))?))
            }
            Some(("gate", rest)) => Ok(Self::Gate(rest.parse().map_err(threshold("gate", rest))?)),
            Some(("similarity", rest)) => {
                Ok(Self::Similarity(rest.parse().map_err(threshold("similarity", rest))?))
            }
            Some(("change", rest)) => match rest.parse() {
                Ok(change) => Ok(Self::Change(change)),
                Err(source) => Err(ExitSpecError::Change { got: rest.into(), source }),
            },
            Some(("patience", rest)) => match rest.parse() {
                Ok(patience) => Ok(Self::Patience(patience)),
                Err(source) => Err(ExitSpecError::Patience { got: rest.into(), source }),
            },
            _ => Err(ExitSpecError::Unknown { got: s.into() }),
        }
    }
}

/// For `map_err`: a threshold that cannot be, behind `exit:`.
fn threshold(exit: &'static str, got: &str) -> impl FnOnce(ThresholdError) -> ExitSpecError {
    let got = got.to_owned();
    move |source| ExitSpecError::Threshold { exit, got, source }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Fixed(depth) => write!(f, "fixed:{depth}"),
            Self::Schedule(name) => write!(f, "schedule:{name}"),
            Self::Uncertainty(threshold) => f.write_str(&uncertainty::spec(threshold)),
            Self::Gate(rule) => write!(f, "gate:{rule}"),
            Self::Similarity(threshold) => f.write_str(&Similarity(*threshold).spec()),
            Self::Change(change) => f.write_str(&change.spec()),
            Self::Patience(patience) => f.write_str(&patience.spec()),
        }
    }
}

impl Rule {
    /// Makes the policy.
    pub(super) fn build(
        &self,
        schedules: &Path,
        exits: Option<&LearnedExits>,
    ) -> Result<Box<dyn Exit>, ExitSpecError> {
        let learned = || exits.ok_or_else(|| ExitSpecError::NoLearnedExits { exit: self.to_string() });
        match self {
            Self::Full => Ok(Box::new(Full)),
            Self::Fixed(depth) => Ok(Box::new(Fixed { depth: *depth })),
            Self::Schedule(name) => Ok(Box::new(Schedule::read(&find_schedule(name, schedules)?)?)),
            Self::Uncertainty(threshold) => Ok(Box::new(Uncertainty::new(*threshold, learned()?)?)),
            Self::Gate(rule) => Ok(Box::new(GateExit::new(*rule, learned()?)?)),
            Self::Similarity(threshold) => Ok(Box::new(Similarity(*threshold))),
            Self::Change(change) => Ok(Box::new(*change)),
            Self::Patience(patience) => Ok(Box::new(*patience)),
        }
    }
}
