//! A tail stands in for the blocks that were skipped: from a_i, the state at the exit, it predicts b_i,
//! the state that the skipped blocks would have made of it.
//!
//! Some tails look at a_i alone ([`Head`], [`Heads`]); others at what the skipped blocks did to the same image before
//! ([`Forecast`]). The latter are shown a_i and b_N of every row that runs to the end, at the exits that the
//! policy can take, and keep what they need in the row's own [`RowMemory`]. Until a row has what leaving
//! needs ([`Tail::ready`]) its image is run to full depth, whatever the policy and its bounds say.

mod forecast;
mod head;
mod heads;
mod spec;

pub use forecast::{Forecast, MAX_ORDER};
pub use head::Head;
pub use heads::Heads;
pub use spec::{TailSpec, TailSpecError};

use tch::{TchError, Tensor};

use crate::learned::LearnedExits;
use crate::row_memory::RowMemory;

/// What replaces the skipped part of the backbone.
pub trait Tail: Send {
    /// The tail as one would type it (`head`).
    fn spec(&self) -> String;

    /// b_i for rows that leave after `depth` blocks in state `a`, `[R, T, D]`; the same shape as L_N.
    fn stand_in(&self, depth: usize, a: &Tensor) -> Result<Tensor, TchError>;

    /// Whether it rests on an image's earlier evaluations. If not, none of the methods below is called, and
    /// nothing is kept for it.
    fn remembers(&self) -> bool {
        false
    }

    /// Whether a row may leave after `depth` blocks; if not, its image goes on.
    fn ready(&self, _depth: usize, _row: &RowMemory) -> bool {
        true
    }

    /// b_i as [`Tail::stand_in`] gives it, with each row's λ = ln(α/σ) and what it remembers of it. A policy that asks
    /// for the head may bring rows that are not ready: there, a_i alone must do.
    fn recall(
        &self,
        depth: usize,
        a: &Tensor,
        _lambda: &[f64],
        _rows: &[&RowMemory],
    ) -> Result<Tensor, TchError> {
        self.stand_in(depth, a)
    }

    /// Learns from rows that ran to the end: `a` is their a_i after `depth` blocks, `b` their L_N, both `[R, T, D]`;
    /// `lambda` is each one's ln(α/σ).
    fn learn(
        &self,
        _depth: usize,
        _a: &Tensor,
        _b: &Tensor,
        _lambda: &[f64],
        _rows: &mut [&mut RowMemory],
    ) -> Result<(), TchError> {
        Ok(())
    }

    /// The same tail for another thread.
    fn share(&self) -> Box<dyn Tail>;
}

/// A model's tail unless another is asked for: its trained heads if it has some, else the shared one.
pub fn default_tail(exits: Option<&LearnedExits>) -> Box<dyn Tail> {
    match exits.and_then(Heads::new) {
        Some(heads) => Box::new(heads),
        None => Box::new(Head),
    }
}

/// A tail that was chosen at run time is one too.
impl Tail for Box<dyn Tail> {
    fn spec(&self) -> String {
        (**self).spec()
    }

    fn stand_in(&self, depth: usize, a: &Tensor) -> Result<Tensor, TchError> {
        (**self).stand_in(depth, a)
    }

    fn remembers(&self) -> bool {
        (**self).remembers()
    }

    fn ready(&self, depth: usize, row: &RowMemory) -> bool {
        (**self).ready(depth, row)
    }

    fn recall(
        &self,
        depth: usize,
        a: &Tensor,
        lambda: &[f64],
        rows: &[&RowMemory],
    ) -> Result<Tensor, TchError> {
        (**self).recall(depth, a, lambda, rows)
    }

    fn learn(
        &self,
        depth: usize,
        a: &Tensor,
        b: &Tensor,
        lambda: &[f64],
        rows: &mut [&mut RowMemory],
    ) -> Result<(), TchError> {
        (**self).learn(depth, a, b, lambda, rows)
    }

    fn share(&self) -> Box<dyn Tail> {
        (**self).share()
    }
}
