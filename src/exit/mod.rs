//! An exit policy says where an evaluation leaves the backbone, image by image.
//!
//! First it bounds the depth from the time alone ([`Exit::bounds`]; a schedule is only that). Then, after
//! every block inside those bounds, it may look at the hidden states ([`Exit::judge`]) and let images go.
//! It is shown the rows that are still undecided, several images at a time; the verdict on one image must
//! not depend on the others, which is the policy's part of the bargain.

mod change;
mod fixed;
mod full;
mod gate;
mod schedule;
mod spec;
mod threshold;
mod uncertainty;

pub use change::{Change, ChangeError};
pub use fixed::Fixed;
pub use full::Full;
pub use gate::{GateExit, GateRule};
pub use schedule::{Measured, Provenance, Schedule, ScheduleError, Segment};
pub use spec::{ExitSpec, ExitSpecError, find_schedule, schedule_names};
pub use threshold::{Threshold, ThresholdError};
pub use uncertainty::Uncertainty;

use tch::{TchError, Tensor};

use crate::backbone::ExitPoint;
use crate::learned::LearnedExits;
use crate::row_memory::RowMemory;

/// What a policy may ask of the model it is to be used with.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ModelFacts<'a> {
    /// Blocks N of the backbone.
    pub depth: usize,
    /// Where it may be left, by increasing depth; the last is N.
    pub exits: &'a [ExitPoint],
    /// T, the training timesteps of its diffusion.
    pub timesteps: usize,
    /// SHA-256 of its weights, hex.
    pub weights_sha256: &'a str,
}

/// The depths between which an evaluation may leave, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Blocks that always run; below 1 is 1.
    pub min: usize,
    /// Blocks after which the image leaves whatever the policy says; below `min` is `min`, above N is N. Where
    /// the backbone can't be left there, it is left at the next exit point; where the tail is not ready for
    /// the image ([`Tail::ready`](crate::tail::Tail::ready)), it runs to the end.
    pub max: usize,
}

/// What a policy remembers about one image from evaluation to evaluation: [`Exit::memory`] numbers, zero
/// at the image's start.
pub type Memory = Vec<f64>;

/// The rows of one batch after one block, as a policy sees them.
///
/// A guided image is two adjacent rows (conditional, unconditional) with the same `image`; it leaves when
/// every one of its rows is told to.
#[non_exhaustive]
pub struct View<'a> {
    /// Blocks run so far, i.
    pub depth: usize,
    /// L_i, `[R, T, D]`.
    pub hidden: &'a Tensor,
    /// L_{i−1}, `[R, T, D]`.
    pub previous: &'a Tensor,
    /// Gives L_0, the state before the first block, `[R, T, D]`.
    pub embedded: &'a dyn Fn() -> Result<Tensor, TchError>,
    /// The timestep embedding, `[R, D]`.
    pub temb: &'a Tensor,
    /// Each row's real time t.
    pub t: &'a [f64],
    /// Each row's image, as an index into `memory`.
    pub image: &'a [usize],
    /// What the policy remembers of each image of the batch; the two rows of a guided image share theirs.
    pub memory: &'a mut [Memory],
    /// What the policy remembers of each row in tensors, one a row.
    pub rows: &'a mut [&'a mut RowMemory],
    /// Works out g_i(L_i), the network's raw output if it were left here, `[R, C or 2C, H, W]`. It is not free,
    /// and not counted in the cost, which is of blocks.
    pub head: &'a dyn Fn() -> Result<Tensor, TchError>,
}

/// Where one image left, as its policy hears it.
#[non_exhaustive]
pub struct Departure<'a> {
    /// Blocks run.
    pub at: usize,
    /// Blocks of the backbone, N.
    pub depth: usize,
    /// What the policy remembers of the image.
    pub memory: &'a mut Memory,
    /// What it remembers of the image's rows in tensors: the conditional one's, then, where guidance acts, the
    /// unconditional one's.
    pub rows: &'a mut [RowMemory],
}

/// A policy's word on one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Whether the row may leave.
    pub leave: bool,
    /// The number behind it: the higher, the longer the row stays (a policy that leaves above a threshold gives
    /// one minus its number). A guided image's is the higher of its rows'.
    pub uncertainty: f32,
}

/// Why a policy cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExitError {
    /// The policy was made for another depth.
    #[error("exit {exit} asks for depth {asked}, and the backbone has {depth} blocks")]
    Depth {
        /// The policy, as on the command line.
        exit: String,
        /// The depth that it asks for.
        asked: usize,
        /// Blocks of the backbone.
        depth: usize,
    },
    /// The policy leaves where the backbone cannot be left.
    #[error("exit {exit} leaves after block {asked}, and this backbone can be left early after {points:?}")]
    NoExitPoint {
        /// The policy.
        exit: String,
        /// The depth that it leaves at.
        asked: usize,
        /// The depths at which the backbone can be left before its end.
        points: Vec<usize>,
    },
    /// The schedule does not fit the model.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Its learned exits were trained on other weights.
    #[error("exit {exit} was trained on weights with sha256 {expected}, and these have {got}")]
    OtherWeights {
        /// The policy.
        exit: String,
        /// SHA-256 of the weights that it was trained on.
        expected: String,
        /// SHA-256 of the weights in use.
        got: String,
    },
    /// It gave another number of verdicts than there are rows.
    #[error("exit {exit} gave {got} verdicts for {expected} rows")]
    Verdicts {
        /// The policy.
        exit: String,
        /// Rows in the batch.
        expected: usize,
        /// Verdicts given.
        got: usize,
    },
    /// A policy's own failure.
    #[error("exit {exit}: {source}")]
    Policy {
        /// The policy.
        exit: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] TchError),
}

/// Refuses a model whose exits these are not.
fn other_weights(exit: &str, exits: &LearnedExits, model: &ModelFacts) -> Result<(), ExitError> {
    let expected = &exits.config().weights_sha256;
    match expected == model.weights_sha256 {
        true => Ok(()),
        false => Err(ExitError::OtherWeights {
            exit: exit.into(),
            expected: expected.clone(),
            got: model.weights_sha256.into(),
        }),
    }
}

/// A policy that was chosen at run time is one too.
impl Exit for Box<dyn Exit> {
    fn spec(&self) -> String {
        (**self).spec()
    }

    fn check(&self, model: &ModelFacts) -> Result<(), ExitError> {
        (**self).check(model)
    }

    fn bounds(&self, t: f64, depth: usize) -> Bounds {
        (**self).bounds(t, depth)
    }

    fn decides_at(&self, depth: usize) -> bool {
        (**self).decides_at(depth)
    }

    fn memory(&self) -> usize {
        (**self).memory()
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        (**self).judge(view)
    }

    fn left(&self, departure: &mut Departure) -> Result<(), ExitError> {
        (**self).left(departure)
    }

    fn share(&self) -> Box<dyn Exit> {
        (**self).share()
    }
}

/// A rule for leaving early.
pub trait Exit: Send {
    /// The policy as one would type it (`schedule:ase-demo`).
    fn spec(&self) -> String;

    /// Refuses a model that the policy was not made for.
    fn check(&self, _model: &ModelFacts) -> Result<(), ExitError> {
        Ok(())
    }

    /// The depths between which an evaluation at time `t` may leave a backbone of `depth` blocks.
    fn bounds(&self, t: f64, depth: usize) -> Bounds;

    /// Whether it may let images go after `depth` blocks, where that is inside its bounds; elsewhere it is not
    /// asked.
    fn decides_at(&self, _depth: usize) -> bool {
        true
    }

    /// How many numbers it remembers of each image.
    fn memory(&self) -> usize {
        0
    }

    /// Which rows may leave now, one verdict a row; asked at every exit point for the rows that stand
    /// inside their bounds. `None`: the policy never looks, time decides.
    fn judge(&self, _view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        Ok(None)
    }

    /// Hears where an image left, once an evaluation, so that what it remembers may follow what happened: its
    /// word to leave is overruled where the image's other half must stay, or the tail is not ready.
    fn left(&self, _departure: &mut Departure) -> Result<(), ExitError> {
        Ok(())
    }

    /// The same policy for another thread.
    fn share(&self) -> Box<dyn Exit>;
}
