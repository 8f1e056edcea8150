//! The grammar of an exit's rule: `full`, `fixed:D`, `schedule:NAME-or-FILE`, `uncertainty:THRESHOLD`,
//! `gate:THRESHOLD`, `similarity:THRESHOLD`, `change:THRESHOLD`, `patience:COUNT`, `best:BUDGET`,
//! `threshold:NAME-or-FILE[,force]`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{
    Best, CalibratedExit, Change, Exit, ExitSpec, ExitSpecError, FRONT, Fixed, Full, GateExit, GateRule,
    Patience, Schedule, Similarity, Threshold, ThresholdError, Uncertainty, find_schedule, uncertainty,
};
use crate::calibrate::Calibrated;
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
    /// The best schedule for a budget.
    Best(Budget),
    /// A calibrated exit, by name or file.
    Calibrated {
        /// The name or file.
        name: String,
        /// Whether it is used where its calibration does not hold, too.
        force: bool,
    },
}

/// A share of full depth's block cost, above 0 and up to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget(f64);

/// A share is never NaN.
impl Eq for Budget {}

impl Budget {
    /// A share; none if it is not above 0 and at most 1.
    pub fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share <= 1.0).then_some(Self(share))
    }

    /// The share.
    pub fn share(self) -> f64 {
        self.0
    }
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
            Some(("best", rest)) => match rest.parse().ok().and_then(Budget::new) {
                Some(budget) => Ok(Self::Best(budget)),
                None => Err(ExitSpecError::Budget { got: rest.into() }),
            },
            Some(("threshold", name)) if !name.is_empty() => {
                let (name, force) = name.strip_suffix(",force").map_or((name, false), |name| (name, true));
                Ok(Self::Calibrated { name: name.into(), force })
            }
            None if s == "best" => Err(ExitSpecError::Budget { got: String::new() }),
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
            Self::Best(budget) => write!(f, "best:{}", budget.share()),
            Self::Calibrated { name, force } => {
                write!(f, "threshold:{name}{}", if *force { ",force" } else { "" })
            }
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
            Self::Calibrated { name, force } => {
                let calibrated = Calibrated::read(&find_calibrated(name, schedules))?;
                let inner: ExitSpec = calibrated.exit.parse()?;
                // A file that names itself would never end.
                if matches!(inner.rule, Self::Calibrated { .. }) {
                    return Err(ExitSpecError::Unknown { got: calibrated.exit });
                }
                let exit = inner.build(schedules, exits)?;
                Ok(Box::new(CalibratedExit::new(self.to_string(), exit, calibrated.holds_for, *force)))
            }
            Self::Best(budget) => Ok(Box::new(Best::open(&schedules.join(FRONT), budget.share())?)),
        }
    }
}

/// The file of a calibrated exit: `name` itself where it is one, else the one of that name in `schedules`.
fn find_calibrated(name: &str, schedules: &Path) -> PathBuf {
    let as_path = Path::new(name);
    match as_path.extension().is_some_and(|e| e == "json") || as_path.components().count() > 1 {
        true => as_path.to_owned(),
        false => schedules.join(format!("{name}.threshold.json")),
    }
}
