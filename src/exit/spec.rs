//! An exit as typed: a rule, and the limits around it (`uncertainty:0.05,min=3,max=brisk,warmup=2`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Exit, ExitSpecError, Limited, LimitsSpec, Rule};
use crate::learned::LearnedExits;

/// An exit policy, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitSpec {
    /// The rule.
    pub rule: Rule,
    /// The limits around it.
    pub limits: LimitsSpec,
}

impl From<Rule> for ExitSpec {
    fn from(rule: Rule) -> Self {
        Self { rule, limits: LimitsSpec::default() }
    }
}

impl FromStr for ExitSpec {
    type Err = ExitSpecError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let limit = |source| ExitSpecError::Limit { got: s.into(), source };
        let (rule, limits) = LimitsSpec::split(s).map_err(limit)?;
        Ok(Self { rule: rule.parse()?, limits })
    }
}

impl fmt::Display for ExitSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.rule, self.limits)
    }
}

impl ExitSpec {
    /// Makes the policy; a schedule's name is looked up in `schedules` (`schedules/<weights>/`), and what a trained
    /// policy needs in `exits`, the model's.
    ///
    /// # Errors
    /// There is no such schedule, or a bad one; the model has no learned exits, or they lack the part; limits around a
    /// calibrated exit that is not forced.
    pub fn build(
        &self,
        schedules: &Path,
        exits: Option<&LearnedExits>,
    ) -> Result<Box<dyn Exit>, ExitSpecError> {
        let exit = self.rule.build(schedules, exits)?;
        if self.limits == LimitsSpec::default() {
            return Ok(exit);
        }
        if matches!(self.rule, Rule::Calibrated { force: false, .. }) {
            return Err(ExitSpecError::CalibratedLimits { exit: self.to_string() });
        }
        Ok(Box::new(Limited::new(exit, self.limits.build(schedules)?, self.limits.to_string())))
    }

    /// Whether it asks the model's learned exits.
    pub fn is_learned(&self) -> bool {
        matches!(self.rule, Rule::Uncertainty(_) | Rule::Gate(_))
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
        // Fronts and thresholds have a second ending.
        .filter(|name| !name.contains('.'))
        .collect();
    names.sort();
    names
}
