//! `schedule:NAME`: the depth is a table over real time, the same for every image (ASE, Moon et al. 2024,
//! arXiv 2408.05927).
//!
//! A schedule is a data file with provenance. Its segments are half-open, `[from, to)`, and cover `[0, T)`
//! without gap or overlap, so that fractional times of any solver fall into exactly one.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Bounds, Exit, ExitError, Moment, RunFacts};

/// The version of the file format that this crate reads and writes.
const VERSION: u32 = 1;

/// The most blocks that a weights folder may have, too.
const MAX_DEPTH: usize = 1_024;

/// Times in `[from, to)` leave after `depth` blocks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// First time of the segment.
    pub from: f64,
    /// First time behind it.
    pub to: f64,
    /// Blocks run, 1 … N.
    pub depth: usize,
}

/// What was measured with a schedule, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The command that measured it.
    pub command: String,
    /// Images.
    pub n: usize,
    /// First seed.
    pub seed: u64,
    /// RMSE of the images to full depth on the same seeds, x in [−1, 1].
    pub rmse_to_full: f64,
}

/// Where a schedule comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// How it was made, in a sentence.
    pub method: String,
    /// The paper or command behind it.
    pub source: String,
    /// SHA-256 of the weights it was made for, or none if it is for any weights of this depth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<String>,
    /// Whether the weights' exits were trained for it.
    pub exits_trained: bool,
    /// What was measured with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// An exit schedule, as in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The file format's version.
    pub version: u32,
    /// Its name; the file is `NAME.json`.
    pub name: String,
    /// Blocks N of the backbone it is for.
    pub depth: usize,
    /// T, the training timesteps of the diffusion it is for.
    pub timesteps: usize,
    /// By increasing time.
    pub segments: Vec<Segment>,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// Why a schedule is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The file could not be read.
    #[error("schedule {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not JSON, or a field missing, unknown or of the wrong type.
    #[error("schedule {}: {source}", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// Another version of the format.
    #[error("schedule {name}: version {got}, and this program reads version {VERSION}")]
    Version {
        /// The schedule.
        name: String,
        /// Its version.
        got: u32,
    },
    /// No segments.
    #[error("schedule {name}: it has no segments; they must cover [0, {timesteps})")]
    NoSegments {
        /// The schedule.
        name: String,
        /// T.
        timesteps: usize,
    },
    /// A segment that is empty, reversed or not a number.
    #[error("schedule {name}: segment [{from}, {to}) is not an interval of finite times")]
    Segment {
        /// The schedule.
        name: String,
        /// Its start.
        from: f64,
        /// Its end.
        to: f64,
    },
    /// Times between two segments, or at an end, that none covers.
    #[error("schedule {name}: gap: no segment covers [{from}, {to})")]
    Gap {
        /// The schedule.
        name: String,
        /// Start of the gap.
        from: f64,
        /// End of the gap.
        to: f64,
    },
    /// Times that two segments cover, or that lie outside [0, T).
    #[error("schedule {name}: overlap: [{from}, {to}) is covered twice or lies outside [0, T)")]
    Overlap {
        /// The schedule.
        name: String,
        /// Start of the overlap.
        from: f64,
        /// End of the overlap.
        to: f64,
    },
    /// A depth of 0 or beyond the backbone.
    #[error("schedule {name}: segment [{from}, {to}) has depth {depth}; it must be 1 to {max}")]
    Depth {
        /// The schedule.
        name: String,
        /// The segment's start.
        from: f64,
        /// The segment's end.
        to: f64,
        /// Its depth.
        depth: usize,
        /// N.
        max: usize,
    },
    /// For a backbone that cannot be.
    #[error("schedule {name}: depth = {depth}: a backbone has 1 to {MAX_DEPTH} blocks")]
    Blocks {
        /// The schedule.
        name: String,
        /// The N that it gives.
        depth: usize,
    },
    /// Made on other weights.
    #[error("schedule {name} was made for weights with sha256 {expected}, and these have {got}")]
    OtherWeights {
        /// The schedule.
        name: String,
        /// The hash in its provenance.
        expected: String,
        /// The model's.
        got: String,
    },
    /// Made for another backbone or diffusion.
    #[error("schedule {name} is for a model with {field} = {expected}, and this one has {got}")]
    OtherModel {
        /// The schedule.
        name: String,
        /// What differs.
        field: &'static str,
        /// The schedule's value.
        expected: usize,
        /// The model's.
        got: usize,
    },
}

impl Schedule {
    /// Reads and checks a schedule.
    pub fn read(file: impl AsRef<Path>) -> Result<Self, ScheduleError> {
        let file = file.as_ref();
        let text =
            std::fs::read(file).map_err(|source| ScheduleError::Read { file: file.to_owned(), source })?;
        let schedule: Schedule = serde_json::from_slice(&text)
            .map_err(|source| ScheduleError::Parse { file: file.to_owned(), source })?;
        schedule.validate()?;
        Ok(schedule)
    }

    /// Checks that the segments cover [0, T) exactly once with depths in 1 … N.
    pub fn validate(&self) -> Result<(), ScheduleError> {
        let name = || self.name.clone();
        if self.version != VERSION {
            return Err(ScheduleError::Version { name: name(), got: self.version });
        }
        if !(1..=MAX_DEPTH).contains(&self.depth) {
            return Err(ScheduleError::Blocks { name: name(), depth: self.depth });
        }
        if self.segments.is_empty() {
            return Err(ScheduleError::NoSegments { name: name(), timesteps: self.timesteps });
        }
        let mut covered = 0.0;
        for &Segment { from, to, depth } in &self.segments {
            if !(from.is_finite() && to.is_finite() && from < to) {
                return Err(ScheduleError::Segment { name: name(), from, to });
            }
            if !(1..=self.depth).contains(&depth) {
                return Err(ScheduleError::Depth { name: name(), from, to, depth, max: self.depth });
            }
            if from > covered {
                return Err(ScheduleError::Gap { name: name(), from: covered, to: from });
            }
            if from < covered {
                return Err(ScheduleError::Overlap { name: name(), from, to: covered.min(to) });
            }
            covered = to;
        }
        let end = self.timesteps as f64;
        if covered < end {
            return Err(ScheduleError::Gap { name: name(), from: covered, to: end });
        }
        if covered > end {
            return Err(ScheduleError::Overlap { name: name(), from: end, to: covered });
        }
        Ok(())
    }

    /// Blocks run at time `t`; times outside [0, T) take the nearest segment.
    pub fn depth_at(&self, t: f64) -> usize {
        let segment = self.segments.iter().find(|s| t < s.to).or(self.segments.last());
        segment.map_or(self.depth, |s| s.depth)
    }

    /// The mean depth over uniform time, in blocks.
    pub fn mean_depth(&self) -> f64 {
        let spent: f64 = self.segments.iter().map(|s| (s.to - s.from) * s.depth as f64).sum();
        spent / self.timesteps as f64
    }
}

impl Exit for Schedule {
    fn spec(&self) -> String {
        format!("schedule:{}", self.name)
    }

    fn check(&self, run: &RunFacts) -> Result<(), ExitError> {
        self.validate()?;
        let name = || self.name.clone();
        for (field, expected, got) in
            [("depth", self.depth, run.depth), ("timesteps", self.timesteps, run.timesteps)]
        {
            if expected != got {
                return Err(ScheduleError::OtherModel { name: name(), field, expected, got }.into());
            }
        }
        match &self.provenance.weights_sha256 {
            Some(expected) if expected != run.weights_sha256 => {
                let (expected, got) = (expected.clone(), run.weights_sha256.to_owned());
                Err(ScheduleError::OtherWeights { name: name(), expected, got }.into())
            }
            _ => Ok(()),
        }
    }

    fn bounds(&self, moment: &Moment) -> Bounds {
        Bounds::exactly(self.depth_at(moment.t))
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(self.clone())
    }
}
