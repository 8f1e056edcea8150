//! What can go wrong with a solver.

use tch::{Kind, TchError};

use super::{MAX_TIMESTEPS, Value, X0Clip};

/// Why a solver cannot be made or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SolverError {
    /// The number of training timesteps is out of range.
    #[error("a diffusion process has between 1 and {MAX_TIMESTEPS} timesteps, not {timesteps}")]
    Timesteps {
        /// What was asked for.
        timesteps: usize,
    },
    /// A β is not a probability.
    #[error("β at timestep {t} is {beta}; every β must lie strictly between 0 and 1")]
    Beta {
        /// Its timestep.
        t: usize,
        /// Its value.
        beta: f64,
    },
    /// Nothing is left of the image.
    #[error("ᾱ falls below 1e-30 at timestep {t}: the β are too large for so many timesteps")]
    NoSignal {
        /// The first timestep at which this is so.
        t: usize,
    },
    /// The number of steps is out of range.
    #[error("{steps} steps: the number of steps must lie between 1 and the {timesteps} training timesteps")]
    Steps {
        /// What was asked for.
        steps: usize,
        /// T.
        timesteps: usize,
    },
    /// A leading grid is pushed past the end of training.
    #[error("offset={offset} starts the grid at timestep {t}, but the last one is {}", timesteps - 1)]
    Offset {
        /// The offset.
        offset: usize,
        /// The first timestep of the grid.
        t: f64,
        /// T.
        timesteps: usize,
    },
    /// The grid is too crowded.
    #[error("{steps} steps over {timesteps} timesteps visit timestep {t} twice; use fewer steps")]
    RepeatedTime {
        /// The timestep.
        t: f64,
        /// The number of steps.
        steps: usize,
        /// T.
        timesteps: usize,
    },
    /// The grid reaches t = 0 before its end, which is there too.
    #[error(
        "with {steps} steps the grid already reaches timestep 0, where final=sigma_min ends: the last step \
         would be empty"
    )]
    EmptyLastStep {
        /// The number of steps.
        steps: usize,
    },
    /// A run from noise would begin where x is mostly image.
    #[error(
        "with {steps} steps {solver} starts at timestep {t}, where x is mostly image (σ = {sigma:.2}), not \
         noise; use spacing=trailing where it has that option, or more steps"
    )]
    StartsInImage {
        /// The solver.
        solver: String,
        /// The number of steps.
        steps: usize,
        /// The first timestep.
        t: f64,
        /// √(1−ᾱ) there.
        sigma: f64,
    },
    /// The strength of an image-to-image run is out of range.
    #[error("strength {strength} must be above 0 and at most 1")]
    Strength {
        /// What was asked for.
        strength: f64,
    },
    /// An image-to-image run would do nothing.
    #[error("strength {strength} of {steps} steps leaves none to run")]
    NothingToRun {
        /// The strength.
        strength: f64,
        /// The number of steps.
        steps: usize,
    },
    /// No solver has this name.
    #[error(
        "unknown solver {name:?}{}; known are {known}",
        nearest.as_ref().map(|n| format!(", did you mean {n:?}?")).unwrap_or_default()
    )]
    UnknownSolver {
        /// The name.
        name: String,
        /// The known name that is spelt most like it, if any is.
        nearest: Option<&'static str>,
        /// All known names, separated by commas.
        known: String,
    },
    /// The solver has no such option.
    #[error("{solver} has no option {key:?}; {}", if known.is_empty() { "it has none" } else { known })]
    UnknownKey {
        /// The solver.
        solver: String,
        /// The option.
        key: String,
        /// "it has …", or empty where it has none.
        known: String,
    },
    /// An option's value is not one that it can have.
    #[error("{key}={value:?} is not valid: {expected}")]
    InvalidValue {
        /// The option.
        key: String,
        /// Its value.
        value: String,
        /// What it can be.
        expected: &'static str,
    },
    /// An option is given twice.
    #[error("option {key:?} is given twice")]
    RepeatedKey {
        /// The option.
        key: String,
    },
    /// The solver is known and will not be run like this.
    #[error("{solver} cannot be used here: {reason}")]
    Refused {
        /// The solver.
        solver: String,
        /// Why.
        reason: String,
    },
    /// The bounds of an x0 clip are not usable.
    #[error("x0 clip {clip:?} over the range [{low}, {high}] is not usable")]
    Clip {
        /// The clip.
        clip: X0Clip,
        /// The lower end of the value range.
        low: f64,
        /// The upper end of the value range.
        high: f64,
    },
    /// A tensor is not what it must be.
    #[error("{what} must be f32 of shape {expected:?}, but is {kind:?} of shape {found:?}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// The expected shape.
        expected: Vec<i64>,
        /// Its shape.
        found: Vec<i64>,
        /// Its element type.
        kind: Kind,
    },
    /// A list that has one entry for each row of the batch has another length.
    #[error("{what}: {found} entries for a batch of {rows} rows")]
    Rows {
        /// Which list.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The batch size.
        rows: usize,
    },
    /// An evaluation that is not the plan's, or not the one that a lockstep run has come to.
    #[error("evaluation {evaluation} is not to be made here: {expected}")]
    Evaluation {
        /// Its index.
        evaluation: usize,
        /// What is.
        expected: String,
    },
    /// A prediction is asked for where x holds no noise or no image.
    #[error("no prediction can be made at t = {t}, where α = {alpha} and σ = {sigma}")]
    Degenerate {
        /// The time.
        t: f64,
        /// √ᾱ.
        alpha: f64,
        /// √(1−ᾱ).
        sigma: f64,
    },
    /// An image's history lacks a value, because it belongs to another plan or started in its middle.
    #[error("the history holds no {value:?} of evaluation {evaluation}")]
    NoHistory {
        /// Which value.
        value: Value,
        /// Of which evaluation.
        evaluation: usize,
    },
    /// A learned variance is asked for and the network has none.
    #[error("variance=learned_range needs a network that predicts its variance (2C output channels)")]
    NoVariance,
    /// libtorch reports an error.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

impl SolverError {
    /// Whether what was asked for cannot be, as opposed to a failure on the way or a caller's mistake about
    /// shapes and order.
    pub fn is_bad_input(&self) -> bool {
        !matches!(
            self,
            Self::Shape { .. }
                | Self::Rows { .. }
                | Self::Evaluation { .. }
                | Self::NoHistory { .. }
                | Self::Torch(_)
        )
    }
}
