//! Solvers that keep their state for a whole batch.

use tch::Tensor;

use super::SolverError;
use super::plan::Evaluation;
use super::prediction::Prediction;

/// A solver whose state cannot be taken apart into images: all rows stand at the same evaluation.
pub trait Lockstep: Send {
    /// The network calls, in order.
    fn evaluations(&self) -> &[Evaluation];

    /// Starts a batch at the first evaluation.
    ///
    /// # Errors
    /// Whatever keeps the underlying scheduler from being made.
    fn start(&self) -> Result<Box<dyn LockstepRun>, SolverError>;
}

/// One batch on its way through a [`Lockstep`] solver.
pub trait LockstepRun: Send {
    /// Takes the prediction at evaluation `e` for `x` `[B,C,H,W]` and gives x of evaluation `e + 1`.
    ///
    /// x is variance-preserving going in and coming out, f32. Evaluations are made in order, each once, with
    /// the same rows.
    ///
    /// # Errors
    /// An evaluation out of order, or other shapes than before.
    fn advance(&mut self, e: usize, x: &Tensor, prediction: &Prediction) -> Result<Tensor, SolverError>;
}
