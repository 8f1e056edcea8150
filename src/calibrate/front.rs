//! `NAME.front.json`: the best schedules that were found for some weights, one a budget; `--exit best:BUDGET` picks one.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file::{self, FileError, VERSION};
use crate::exit::Segment;
use crate::output::{OutputError, write_json};

/// How a front was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundBy {
    /// The command.
    pub command: String,
    /// The solver.
    pub solver: String,
    /// Its steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance: f64,
    /// The tail that it was searched for.
    pub tail: String,
    /// Trajectories that errors were recorded on.
    pub images: usize,
    /// Seed of the first.
    pub seed: u64,
    /// Other images, that RMSE was measured on.
    pub held_out: usize,
    /// Seed of the first of them.
    pub held_out_seed: u64,
    /// Spearman's correlation of predicted and measured squared error, over the front's and fixed schedules; none where
    /// they did not differ.
    pub correlation: Option<f64>,
}

/// The best schedule for a budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontPoint {
    /// Mean block cost, as a share of full depth's.
    pub cost: f64,
    /// RMSE to full depth that was predicted, x in [−1, 1].
    pub predicted_rmse: f64,
    /// The one that was measured.
    pub rmse: f64,
    /// The schedule, by increasing time.
    pub segments: Vec<Segment>,
}

/// A front, as in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Front {
    /// The file format's version.
    pub version: u32,
    /// SHA-256 of the weights that it is for.
    pub weights_sha256: String,
    /// SHA-256 of the learned exits beside them; none if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exits_sha256: Option<String>,
    /// Blocks N of the backbone.
    pub depth: usize,
    /// T of the diffusion.
    pub timesteps: usize,
    /// How it was found.
    pub found: FoundBy,
    /// By increasing cost.
    pub points: Vec<FrontPoint>,
}

/// Why a front is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrontError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is none.
    #[error("front {}: there is no such file; `offramp calibrate schedule` makes it", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// Points that are none, or not by increasing cost.
    #[error("front {}: points must be by increasing cost from 0 to 1, and there must be one", file.display())]
    Points {
        /// The file.
        file: PathBuf,
    },
    /// A budget below the cheapest point.
    #[error("front {}: a budget of {budget} is below its cheapest exit, which costs {least:.3}", file.display())]
    Budget {
        /// The file.
        file: PathBuf,
        /// The budget asked for.
        budget: f64,
        /// Cost of the cheapest.
        least: f64,
    },
}

impl Front {
    /// A front of these points, which are put in order; of equal costs the one with the least error stays.
    pub fn new(
        weights_sha256: String,
        exits_sha256: Option<String>,
        [depth, timesteps]: [usize; 2],
        found: FoundBy,
        mut points: Vec<FrontPoint>,
    ) -> Self {
        points.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.rmse.total_cmp(&b.rmse)));
        points.dedup_by(|b, a| a.cost == b.cost);
        Self { version: VERSION, weights_sha256, exits_sha256, depth, timesteps, found, points }
    }

    /// Reads and checks one.
    ///
    /// # Errors
    /// There is no such file, or it is no front.
    pub fn read(file: &Path) -> Result<Self, FrontError> {
        let front: Self = match file::read("front", file) {
            Err(FileError::Read { source, file, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(FrontError::Missing { file });
            }
            read => read?,
        };
        let costs: Vec<f64> = front.points.iter().map(|p| p.cost).collect();
        let fine = |c: &f64| *c > 0.0 && *c <= 1.0 + 1e-9;
        match costs.is_empty() || !costs.iter().all(fine) || costs.windows(2).any(|w| w[0] >= w[1]) {
            true => Err(FrontError::Points { file: file.to_owned() }),
            false => Ok(front),
        }
    }

    /// Writes it, all or nothing.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, file: &Path) -> Result<(), OutputError> {
        write_json(file, self)
    }

    /// The dearest point that costs at most `budget`; `file` is for the error.
    ///
    /// # Errors
    /// All cost more.
    pub fn at(&self, budget: f64, file: &Path) -> Result<&FrontPoint, FrontError> {
        let within = |p: &&FrontPoint| p.cost <= budget + 1e-9;
        self.points.iter().rev().find(within).ok_or_else(|| FrontError::Budget {
            file: file.to_owned(),
            budget,
            least: self.points.first().map_or(1.0, |p| p.cost),
        })
    }
}
