//! `best:BUDGET`: the best schedule that was found for these weights and costs at most BUDGET, a share of full depth's
//! block cost, on the grid that it was found on ([`Front`](crate::calibrate::Front)); other steps may cost a little more or
//! less.

use std::path::Path;

use super::{Bounds, Exit, ExitError, Moment, Provenance, RunFacts, Schedule};
use crate::calibrate::{Front, FrontError};

/// The file of the front among a weights folder's schedules.
pub const FRONT: &str = "best.front.json";

/// A point of a front.
#[derive(Debug, Clone)]
pub struct Best {
    budget: f64,
    schedule: Schedule,
    exits_sha256: Option<String>,
}

impl Best {
    /// The point of the front in `file` for a budget.
    ///
    /// # Errors
    /// There is no front, or a bad one, or all of it costs more.
    pub fn open(file: &Path, budget: f64) -> Result<Self, FrontError> {
        let front = Front::read(file)?;
        let point = front.at(budget, file)?;
        let schedule = Schedule {
            version: 1,
            name: format!("best:{budget}"),
            depth: front.depth,
            timesteps: front.timesteps,
            segments: point.segments.clone(),
            provenance: Provenance {
                method: "a point of a front".into(),
                source: front.found.command.clone(),
                weights_sha256: Some(front.weights_sha256.clone()),
                exits_trained: front.exits_sha256.is_some(),
                measured: None,
            },
        };
        Ok(Self { budget, schedule, exits_sha256: front.exits_sha256 })
    }
}

impl Exit for Best {
    fn spec(&self) -> String {
        format!("best:{}", self.budget)
    }

    fn check(&self, run: &RunFacts) -> Result<(), ExitError> {
        self.schedule.check(run)?;
        match (&self.exits_sha256, run.exits_sha256) {
            (Some(expected), got) if got != Some(expected.as_str()) => Err(ExitError::OtherExits {
                exit: self.spec(),
                expected: expected.clone(),
                got: got.unwrap_or("none").into(),
            }),
            _ => Ok(()),
        }
    }

    fn bounds(&self, moment: &Moment) -> Bounds {
        self.schedule.bounds(moment)
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(self.clone())
    }
}
