//! A backbone is a denoiser that can be left after any of its blocks.
//!
//! It runs as *begin → block 0 → … → block N−1 → finish*. Whoever drives it (the one exit loop, in
//! `sampler::exit_loop`) may stop after `i` blocks, put a stand-in for the skipped ones into the state and
//! call [`Backbone::finish`] early. A backbone knows nothing of policies, tails, solvers or images: it
//! sees rows. Rows that part ways are separated with [`State::select`], each with its own conditioning.

mod checkpoint;
mod config;
mod dit;
mod dit_keys;
mod model;
mod parameters;

pub use checkpoint::{Checkpoint, CheckpointError, Mismatch, TensorFault};
pub use config::{Config, ConfigError, Diffusion as DiffusionConfig, Family, Layout};
pub use dit::Dit;
pub(crate) use dit::NORM_EPS;
pub use model::{Model, ModelError};
pub use parameters::{Parameters, assemble, embeds_time, init_parameters, is_learned, read_parameters};

use tch::{TchError, Tensor};

/// A place where an evaluation may leave the backbone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitPoint {
    /// Blocks run when leaving here, 1 … N.
    pub depth: usize,
    /// FLOPs of those blocks as a share of all blocks' FLOPs, in (0, 1]; embedders and heads apart.
    pub cost: f64,
}

/// The shape of what a backbone takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// Channels of `x`.
    pub channels: i64,
    /// Height in pixels (or latent pixels).
    pub height: i64,
    /// Width.
    pub width: i64,
}

impl ImageShape {
    /// `[C, H, W]`.
    pub fn chw(&self) -> [i64; 3] {
        [self.channels, self.height, self.width]
    }

    /// C·H·W.
    pub fn numel(&self) -> usize {
        (self.channels * self.height * self.width) as usize
    }
}

/// What one row of a network evaluation is given; a guided image is two such rows.
pub struct Input<'a> {
    /// `x_t`, variance-preserving scale, f32 `[R, C, H, W]`.
    pub x: &'a Tensor,
    /// Real times, f32 `[R]`.
    pub t: &'a Tensor,
    /// Class indices, i64 `[R]`; the null class stands for "no label".
    pub class: &'a Tensor,
}

/// Everything an evaluation carries from block to block; every tensor's first dimension is the row.
#[derive(Debug)]
pub struct State {
    /// The hidden state L_i, `[R, T, D]`.
    pub hidden: Tensor,
    /// The timestep embedding, `[R, D]`.
    pub temb: Tensor,
    /// What modulates the blocks: SiLU(temb + label embedding), `[R, D]`.
    pub conditioning: Tensor,
}

impl State {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.hidden.size()[0] as usize
    }

    /// The state of the given rows, in the given order.
    pub fn select(&self, rows: &[usize]) -> Result<State, TchError> {
        let index = row_index(rows, &self.hidden)?;
        Ok(State {
            hidden: self.hidden.f_index_select(0, &index)?,
            temb: self.temb.f_index_select(0, &index)?,
            conditioning: self.conditioning.f_index_select(0, &index)?,
        })
    }

    /// The same tensors again, without a copy.
    pub fn share(&self) -> State {
        State {
            hidden: self.hidden.shallow_clone(),
            temb: self.temb.shallow_clone(),
            conditioning: self.conditioning.shallow_clone(),
        }
    }
}

/// Row numbers as an index tensor on the device of `like`.
pub(crate) fn row_index(rows: &[usize], like: &Tensor) -> Result<Tensor, TchError> {
    let rows: Vec<i64> = rows.iter().map(|&r| r as i64).collect();
    Tensor::f_from_slice(&rows)?.f_to(like.device())
}

/// A denoiser that can be left after any of its blocks.
///
/// Implementations hold tensors, which may move between threads but not be shared: every worker takes its
/// own [`Backbone::share`].
pub trait Backbone: Send {
    /// The shape of `x`.
    fn shape(&self) -> ImageShape;

    /// Whether the output carries a variance behind the prediction (2·C channels).
    fn learns_variance(&self) -> bool;

    /// Numbers in one row's hidden state (T·D), by which a batch is judged large enough for several threads.
    fn state_size(&self) -> usize;

    /// Where it may be left, by increasing depth; the last is the full depth, at cost 1.
    fn exit_points(&self) -> &[ExitPoint];

    /// The number of blocks.
    fn depth(&self) -> usize {
        self.exit_points().last().map_or(0, |p| p.depth)
    }

    /// What leaving after `depth` blocks costs, as a share of all blocks' FLOPs; 1 where it cannot be left early.
    fn cost(&self, depth: usize) -> f64 {
        self.exit_points().iter().find(|point| point.depth == depth).map_or(1.0, |point| point.cost)
    }

    /// Embeds the input: everything that comes before the first block.
    fn begin(&self, input: &Input) -> Result<State, TchError>;

    /// Runs block `i` (from 0) on every row.
    fn block(&self, i: usize, state: &mut State) -> Result<(), TchError>;

    /// Runs what is never skipped, on a state whose hidden part is L_N or a stand-in for it after `depth`
    /// blocks. Output `[R, C or 2C, H, W]`, f32.
    fn finish(&self, depth: usize, state: State) -> Result<Tensor, TchError>;

    /// The same weights for another thread.
    fn share(&self) -> Box<dyn Backbone>;
}
