//! The grammar of `--exit`: `full`, `fixed:D`, `schedule:NAME-or-FILE`, `change:THRESHOLD`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Change, ChangeError, Exit, Fixed, Full, Schedule, ScheduleError};

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
}

/// Why an exit cannot be made from what was typed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExitSpecError {
    /// No such policy.
    #[error(
        "unknown exit {got:?}: there are full, fixed:DEPTH, schedule:NAME (or a schedule's file) and change:THRESHOLD"
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
            _ => Err(ExitSpecError::Unknown { got: s.into() }),
        }
    }
}

impl fmt::Display for ExitSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Fixed(depth) => write!(f, "fixed:{depth}"),
            Self::Schedule(name) => write!(f, "schedule:{name}"),
            Self::Change(change) => f.write_str(&change.spec()),
        }
    }
}

impl ExitSpec {
    /// Makes the policy; a schedule's name is looked up in `schedules` (`schedules/<weights>/`).
    pub fn build(&self, schedules: &Path) -> Result<Box<dyn Exit>, ExitSpecError> {
        match self {
            Self::Full => Ok(Box::new(Full)),
            Self::Fixed(depth) => Ok(Box::new(Fixed { depth: *depth })),
            Self::Change(change) => Ok(Box::new(*change)),
            Self::Schedule(name) => Ok(Box::new(Schedule::read(&Self::find(name, schedules)?)?)),
        }
    }

    fn find(name: &str, schedules: &Path) -> Result<PathBuf, ExitSpecError> {
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
