//! Why a setting cannot be calibrated.

/// Why a calibration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrateError {
    /// A number that is not what it must be.
    #[error("{name} must be {expected}, not {got}")]
    Number {
        /// Its name.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What was given.
        got: f64,
    },
    /// More failures than images.
    #[error("{failures} failures among {images} images")]
    Losses {
        /// Images that failed.
        failures: u64,
        /// Images in all.
        images: u64,
    },
    /// Too few scores to learn from.
    #[error("{got} scores: a threshold needs {least} or more")]
    TooFew {
        /// How many it takes.
        least: usize,
        /// How many there are.
        got: usize,
    },
    /// A score that is no number, or outside the policy's range.
    #[error("score {index} is {got}: it must be a number from {low} to {high}")]
    Score {
        /// Which, in the order given.
        index: usize,
        /// What was given.
        got: f64,
        /// The least that it may be.
        low: f64,
        /// The most that it may be.
        high: f64,
    },
    /// Confidences that are all the same have no two groups.
    #[error("every confidence is {value}: there are no two groups to tell apart")]
    OneValue {
        /// The confidence.
        value: f64,
    },
    /// A list that does not fit the exits.
    #[error("{expected} {name} are called for, one an exit, not {got}")]
    Exits {
        /// What it lists.
        name: &'static str,
        /// How many there must be.
        expected: usize,
        /// Entries.
        got: usize,
    },
    /// A later exit that costs no more than an earlier one.
    #[error("exit {exit} costs {cost}, no more than the exit before it ({before})")]
    Costs {
        /// The later of the two, from 0.
        exit: usize,
        /// Its cost.
        cost: f64,
        /// The cost of the one before.
        before: f64,
    },
    /// A budget below the least that there is to spend.
    #[error("a mean cost of {budget} cannot be met: leaving as early as can be costs {least}")]
    Unreachable {
        /// The mean cost asked for.
        budget: f64,
        /// The least mean cost.
        least: f64,
    },
    /// A depth at which the backbone cannot be left early.
    #[error("depth {depth} is no exit: this backbone can be left early after {points:?}")]
    NoExit {
        /// What was asked for.
        depth: usize,
        /// Depths of the exits.
        points: Vec<usize>,
    },
    /// Two evaluations that a schedule over time cannot tell apart.
    #[error("this solver evaluates at t = {next} after t = {t}: a schedule over time needs times that fall")]
    Times {
        /// Time of an evaluation.
        t: f64,
        /// Time of the next.
        next: f64,
    },
    /// A budget that no schedule meets.
    #[error("no exit costs as little as {budget} of full depth: the cheapest that there is costs {least:.3}")]
    Budget {
        /// The share asked for.
        budget: f64,
        /// The least share.
        least: f64,
    },
    /// A file of recordings that cannot be read.
    #[cfg(feature = "evaluate")]
    #[error(transparent)]
    File(#[from] crate::data::ArrayError),
    /// A file of recordings whose description is none.
    #[error("{}: about: {source}", file.display())]
    About {
        /// The file.
        file: std::path::PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// A file of recordings whose arrays do not fit each other.
    #[error("{}: the arrays of {steps} steps do not fit each other", file.display())]
    Misfit {
        /// The file.
        file: std::path::PathBuf,
        /// Which.
        steps: usize,
    },
    /// Evaluations taken together with a tail that looks at each.
    #[error("tail {tail} remembers evaluation by evaluation: {evaluations} spans are needed, one each")]
    Spans {
        /// The tail.
        tail: String,
        /// Evaluations.
        evaluations: usize,
    },
}
