//! A tail stands in for the blocks that were skipped: from a_i, the state at the exit, it predicts b_i,
//! the state that the skipped blocks would have made of it.

mod head;

pub use head::Head;

use tch::{TchError, Tensor};

/// What replaces the skipped part of the backbone.
pub trait Tail: Send {
    /// The tail as one would type it (`head`).
    fn spec(&self) -> String;

    /// b_i for rows that leave after `depth` blocks in state `a`, `[R, T, D]`; the same shape as L_N.
    fn stand_in(&self, depth: usize, a: &Tensor) -> Result<Tensor, TchError>;

    /// The same tail for another thread.
    fn share(&self) -> Box<dyn Tail>;
}
