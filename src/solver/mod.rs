//! Solvers: how the noisy image x_t becomes the next one.
//!
//! Four steps lead from a network that was trained with a [`BetaSchedule`] to an update of x:
//!
//! 1. [`Diffusion`] tabulates β and ᾱ and turns a real time into a [`Node`] (α, σ).
//! 2. [`Grid`] chooses n+1 nodes from noise to image.
//! 3. A solver lays itself out over that path as a [`Plan`]: network evaluations, and after each a linear
//!    combination of what is known, with weights in f64. [`SolverSpec`] is the one line that names a solver
//!    with its options (`dpm-solver++2m:spacing=trailing`) and makes the plan.
//! 4. [`advance`] applies the plan to a batch whose rows may stand at different evaluations. Its input is a
//!    [`Prediction`], made once from the network's output; what later updates need is kept per image in a
//!    [`History`].
//!
//! x is always in the variance-preserving scale. A solver that cannot be written as a plan (an adapter over
//! another library's scheduler) implements [`Lockstep`]: one evaluation index for the whole batch.

mod advance;
pub mod ddim;
pub mod ddpm;
#[cfg(feature = "diffusers")]
mod diffusers;
pub mod diffusion;
pub mod dpm_solver;
pub mod dpm_solver_pp;
mod error;
pub mod euler;
mod exponential;
mod grammar;
pub mod grid;
pub mod heun;
mod history;
mod lockstep;
mod method;
pub mod plan;
mod prediction;
mod spec;
pub mod unipc;

use tch::{Kind, Tensor};

pub use advance::{Advanced, advance};
pub use ddpm::Variance;
pub use diffusion::{BetaSchedule, Diffusion, MAX_TIMESTEPS, Node};
pub use error::SolverError;
pub use grid::{Convention, FinalSigma, Grid, Spacing};
pub use history::History;
pub use lockstep::{Lockstep, LockstepRun};
pub use method::{AdapterName, Method};
pub use plan::{Combination, Evaluation, Noise, Plan, Term, Update, Value};
pub use prediction::{Prediction, PredictionType, X0Clip};
pub use spec::{Solver, SolverSpec, StartAt};
pub use unipc::BhType;

/// Checks that a tensor is f32 of the given shape.
fn expect(what: &'static str, tensor: &Tensor, shape: &[i64]) -> Result<(), SolverError> {
    let (kind, found) = (tensor.f_kind()?, tensor.size());
    if kind == Kind::Float && found == shape {
        return Ok(());
    }
    Err(SolverError::Shape { what, expected: shape.to_vec(), found, kind })
}

/// One f32 number for each row, as `[B,1,1,1]` beside `like`.
fn per_row(values: impl IntoIterator<Item = f64>, like: &Tensor) -> Result<Tensor, SolverError> {
    let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
    Ok(Tensor::f_from_slice(&values)?.f_view([-1, 1, 1, 1])?.f_to_device(like.device())?)
}
