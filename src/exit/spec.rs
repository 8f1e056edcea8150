//! The grammar of `--exit`: `full`, `fixed:D`, `schedule:NAME-or-FILE`, `change:THRESHOLD`,
//! `uncertainty:THRESHOLD`, `gate:THRESHOLD`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{
    Change, ChangeError, Exit, Fixed, Full, GateExit, GateRule, Schedule, ScheduleError, Threshold,
    ThresholdError, Uncertainty, uncertainty,
};
use crate::learned::LearnedExits;

/// An exit policy, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitSpec {
    /// Every block, always.
    Full,
    /// The same depth always.
    Fixed(usize),
    /// A schedule by name (for the weights in use) or by file.
    Schedule(String),
    /// Below a change of the first blocks' residual.
    Change(Change),
    /// Where the weights' estimators pass a threshold.
    Uncertainty(Threshold),
    /// Where the weights' gates say so.
    Gate(GateRule),
}

/// Why an exit cannot be made from what was typed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExitSpecError {
    /// No such policy.
    #[error(
        "unknown exit {got:?}: there are full, fixed:DEPTH, schedule:NAME (or a schedule's file), change:THRESHOLD, \
         uncertainty:THRESHOLD, gate:THRESHOLD and gate:q=QUANTILE"
    )]
    Unknown {
        /// What was typed.
        got: String,
    },
    /// `fixed:` without a depth.
    #[error("exit fixed:{got}: the depth must be a whole number of blocks, from 1")]
    Depth {
        /// What stood behind the colon.
        got: String,
    },
    /// `change:` with something that it cannot take.
    #[error("exit change:{got}: {source}")]
    Change {
        /// What stood behind the colon.
        got: String,
        /// What is wrong with it.
        source: ChangeError,
    },
    /// `uncertainty:` or `gate:` with something that it cannot take.
    #[error("exit {exit}:{got}: {source}")]
    Threshold {
        /// What stood before the colon.
        exit: &'static str,
        /// What stood behind it.
        got: String,
        /// What is wrong with it.
        source: ThresholdError,
    },
    /// The policy is learned, and the weights have no learned exits.
    #[error("exit {exit} is a trained one, and there is no exits.safetensors beside these weights")]
    NoLearnedExits {
        /// The policy.
        exit: String,
    },
    /// The weights' learned exits lack the part that decides.
    #[error("exit {exit} asks the exits' {part}, and these weights' exits.safetensors has none")]
    NotLearned {
        /// The policy.
        exit: String,
        /// `estimator` or `gate`.
        part: &'static str,
    },
    /// No schedule of that name for these weights.
    #[error("no schedule {name:?} in {}{}", folder.display(), offer(known))]
    NoSchedule {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// The names that are there.
        known: Vec<String>,
    },
    /// The schedule is refused.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

fn offer(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!(": there are {}", known.join(", ")) }
}

impl FromStr for ExitSpec {
    type Err = ExitSpecError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.split_once(':') {
            None if s == "full" => Ok(Self::Full),
            Some(("fixed", depth)) => match depth.parse() {
                Ok(depth) if depth > 0 => Ok(Self::Fixed(depth)),
                _ => Err(ExitSpecError::Depth { got: depth.into() }),
            },
            Some(("schedule", name)) if !name.is_empty() => Ok(Self::Schedule(name.into())),
            Some(("change", rest)) => match rest.parse() {
                Ok(change) => Ok(Self::Change(change)),
                Err(source) => Err(ExitSpecError::Change { got: rest.into(), source }),
            },
            Some(("uncertainty", rest)) => {
                Ok(Self::Uncertainty(rest.parse().map_err(threshold("uncertainty", rest))?))
            }
            Some(("gate", rest)) => Ok(Self::Gate(rest.parse().map_err(threshold("gate", rest))?)),
            _ => Err(ExitSpecError::Unknown { got: s.into() }),
        }
    }
}

/// For `map_err`: a threshold that cannot be, behind `exit:`.
fn threshold(exit: &'static str, got: &str) -> impl FnOnce(ThresholdError) -> ExitSpecError {
    let got = got.to_owned();
    move |source| ExitSpecError::Threshold { exit, got, source }
}

impl fmt::Display for ExitSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Fixed(depth) => write!(f, "fixed:{depth}"),
            Self::Schedule(name) => write!(f, "schedule:{name}"),
            Self::Change(change) => f.write_str(&change.spec()),
            Self::Uncertainty(threshold) => f.write_str(&uncertainty::spec(threshold)),
            Self::Gate(rule) => write!(f, "gate:{rule}"),
        }
    }
}

impl ExitSpec {
    /// Makes the policy; a schedule's name is looked up in `schedules` (`schedules/<weights>/`), and what a trained
    /// policy needs in `exits`, the model's.
    ///
    /// # Errors
    /// There is no such schedule, or a bad one; the model has no learned exits, or they lack the part.
    pub fn build(
        &self,
        schedules: &Path,
        exits: Option<&LearnedExits>,
    ) -> Result<Box<dyn Exit>, ExitSpecError> {
        let learned = || exits.ok_or_else(|| ExitSpecError::NoLearnedExits { exit: self.to_string() });
        match self {
            Self::Full => Ok(Box::new(Full)),
            Self::Fixed(depth) => Ok(Box::new(Fixed { depth: *depth })),
            Self::Change(change) => Ok(Box::new(*change)),
            Self::Uncertainty(threshold) => Ok(Box::new(Uncertainty::new(*threshold, learned()?)?)),
            Self::Gate(rule) => Ok(Box::new(GateExit::new(*rule, learned()?)?)),
            Self::Schedule(name) => Ok(Box::new(Schedule::read(&find_schedule(name, schedules)?)?)),
        }
    }

    /// Whether it asks the model's learned exits.
    pub fn is_learned(&self) -> bool {
        matches!(self, Self::Uncertainty(_) | Self::Gate(_))
    }
}

/// The file of a schedule: `name` itself where it is one, or the one of that name in `schedules`.
///
/// # Errors
/// There is none of that name.
pub fn find_schedule(name: &str, schedules: &Path) -> Result<PathBuf, ExitSpecError> {
    let as_path = Path::new(name);
    if as_path.extension().is_some_and(|e| e == "json") || as_path.components().count() > 1 {
        return Ok(as_path.to_owned());
    }
    let file = schedules.join(format!("{name}.json"));
    if file.is_file() {
        return Ok(file);
    }
    let known = schedule_names(schedules);
    Err(ExitSpecError::NoSchedule { name: name.into(), folder: schedules.to_owned(), known })
}

/// The names of the schedules in a folder, sorted.
pub fn schedule_names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|x| x == "json"))
        .filter_map(|e| Some(e.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}
