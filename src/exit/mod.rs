//! An exit policy says where an evaluation leaves the backbone, image by image.
//!
//! First it bounds the depth from the time alone ([`Exit::bounds`]; a schedule is only that). Then, after
//! every block inside those bounds, it may look at the hidden states ([`Exit::judge`]) and let images go.
//! A policy sees rows and what it remembers of their images, never the batch: the verdict on one image
//! must not depend on its neighbours.

mod fixed;
mod full;
mod schedule;
mod spec;

pub use fixed::Fixed;
pub use full::Full;
pub use schedule::{Measured, Provenance, Schedule, ScheduleError, Segment};
pub use spec::{ExitSpec, ExitSpecError, schedule_names};

use tch::{TchError, Tensor};

/// The depths between which an evaluation may leave, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Blocks that always run, at least 1.
    pub min: usize,
    /// Blocks after which the image leaves whatever the policy says, at most N.
    pub max: usize,
}

/// What a policy remembers about one image from evaluation to evaluation: [`Exit::memory`] numbers, zero
/// at the image's start.
pub type Memory = Vec<f64>;

/// The rows of one batch after one block, as a policy sees them.
///
/// A guided image is two adjacent rows (conditional, unconditional) with the same `image`; it leaves when
/// every one of its rows is told to.
pub struct View<'a> {
    /// Blocks run so far, i.
    pub depth: usize,
    /// L_i, `[R, T, D]`.
    pub hidden: &'a Tensor,
    /// L_{i−1}, `[R, T, D]`.
    pub previous: &'a Tensor,
    /// The timestep embedding, `[R, D]`.
    pub temb: &'a Tensor,
    /// Each row's real time t.
    pub t: &'a [f64],
    /// Each row's image, as an index into `memory`.
    pub image: &'a [usize],
    /// What the policy remembers of each image.
    pub memory: &'a mut [Memory],
    /// Works out g_i(L_i), the noise prediction of leaving here, `[R, C or 2C, H, W]`.
    pub head: &'a dyn Fn() -> Result<Tensor, TchError>,
}

/// A policy's word on one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Whether the row may leave.
    pub leave: bool,
    /// The score behind it, for traces (an uncertainty, a similarity, …).
    pub score: f32,
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
    /// The schedule does not fit the model.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
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
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] TchError),
}

/// A policy that was chosen at run time is one too.
impl Exit for Box<dyn Exit> {
    fn spec(&self) -> String {
        (**self).spec()
    }

    fn check(&self, depth: usize, timesteps: usize) -> Result<(), ExitError> {
        (**self).check(depth, timesteps)
    }

    fn bounds(&self, t: f64, depth: usize) -> Bounds {
        (**self).bounds(t, depth)
    }

    fn memory(&self) -> usize {
        (**self).memory()
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        (**self).judge(view)
    }

    fn share(&self) -> Box<dyn Exit> {
        (**self).share()
    }
}

/// A rule for leaving early.
pub trait Exit: Send {
    /// The policy as one would type it (`schedule:ase-demo`).
    fn spec(&self) -> String;

    /// Refuses a backbone of `depth` blocks trained on `timesteps` steps that the policy was not made for.
    fn check(&self, _depth: usize, _timesteps: usize) -> Result<(), ExitError> {
        Ok(())
    }

    /// The depths between which an evaluation at time `t` may leave a backbone of `depth` blocks.
    fn bounds(&self, t: f64, depth: usize) -> Bounds;

    /// How many numbers it remembers of each image.
    fn memory(&self) -> usize {
        0
    }

    /// Which rows may leave now, one verdict a row; asked at every exit point where some row is inside its
    /// bounds. Verdicts on rows that are not are ignored. `None`: the policy never looks, time decides.
    fn judge(&self, _view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        Ok(None)
    }

    /// The same policy for another thread.
    fn share(&self) -> Box<dyn Exit>;
}
