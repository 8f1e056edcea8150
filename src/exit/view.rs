//! What a policy is shown, and its word.

use tch::{Kind, TchError, Tensor};

use crate::backbone::ExitPoint;
use crate::guidance::Guidance;
use crate::row_memory::RowMemory;
use crate::sampler::Verify;
use crate::solver::SolverSpec;

/// What a policy may ask of the run that it is to decide in.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RunFacts<'a> {
    /// Blocks N of the backbone.
    pub depth: usize,
    /// Where it may be left, by increasing depth; the last is N.
    pub exits: &'a [ExitPoint],
    /// T, the training timesteps of its diffusion.
    pub timesteps: usize,
    /// SHA-256 of its weights, hex.
    pub weights_sha256: &'a str,
    /// SHA-256 of the learned exits beside them, hex.
    pub exits_sha256: Option<&'a str>,
    /// The solver.
    pub solver: SolverSpec,
    /// Its steps.
    pub steps: usize,
    /// The guidance.
    pub guidance: Guidance,
    /// The tail, as typed.
    pub tail: &'a str,
    /// The arithmetic of the network.
    pub dtype: Kind,
    /// The class of each image; `None` is unconditional.
    pub classes: &'a [Option<i64>],
    /// Share of the steps that an init image is noised for; none from pure noise.
    pub strength: Option<f64>,
    /// How its drafts are verified, if they are.
    pub verify: Option<Verify>,
}

/// One evaluation of one image, as a policy hears of it beforehand.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Moment<'a> {
    /// Its real time t.
    pub t: f64,
    /// Which of the trajectory's evaluations it is, from 0.
    pub evaluation: usize,
    /// Blocks N of the backbone.
    pub depth: usize,
    /// What the policy remembers of the image.
    pub memory: &'a [f64],
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

impl Bounds {
    /// Exactly so many blocks.
    pub fn exactly(depth: usize) -> Self {
        Self { min: depth, max: depth }
    }

    /// As they are meant in a backbone of `depth` blocks: 1 ≤ min ≤ max ≤ N.
    pub fn within(self, depth: usize) -> Self {
        let min = self.min.clamp(1, depth.max(1));
        Self { min, max: self.max.clamp(min, depth.max(1)) }
    }
}

/// What a policy remembers about one image from evaluation to evaluation: [`Exit::memory`](super::Exit::memory)
/// numbers, zero at the image's start.
pub type Memory = Vec<f64>;

/// The rows of one batch after one block, as a policy sees them.
///
/// A guided image is two adjacent rows (conditional, unconditional) with the same `image`; [`Pair`] says what its
/// rows' verdicts come to.
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
    /// Which of its trajectory's evaluations each row is at, from 0.
    pub evaluation: &'a [usize],
    /// Each row's image, as an index into `memory`.
    pub image: &'a [usize],
    /// Each row's guidance half: 0 conditional (or the only one), 1 unconditional.
    pub half: &'a [usize],
    /// What the policy remembers of each image of the batch; the two rows of a guided image share theirs. It holds at
    /// least as many numbers as the policy asked for.
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
    /// Blocks that each of its rows ran.
    pub at: &'a [usize],
    /// Blocks of the backbone, N.
    pub depth: usize,
    /// What the policy remembers of the image.
    pub memory: &'a mut Memory,
    /// What it remembers of the image's rows in tensors: the conditional one's, then, where guidance acts, the
    /// unconditional one's.
    pub rows: &'a mut [RowMemory],
}

impl Departure<'_> {
    /// Whether every row ran to the end.
    pub fn full(&self) -> bool {
        self.at.iter().all(|&at| at == self.depth)
    }
}

/// A policy's word on one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Whether the row may leave.
    pub leave: bool,
    /// The number behind it: the higher, the longer the row stays (a policy that leaves above a threshold gives
    /// one minus its number). A guided image's is the higher of its rows'.
    pub uncertainty: f32,
    /// What the number was compared with, where that is all that the verdict rests on: one may leave below it.
    pub limit: Option<f32>,
}

impl Verdict {
    /// Leaves below `limit`.
    pub fn below(uncertainty: f32, limit: f64) -> Self {
        Self { leave: f64::from(uncertainty) < limit, uncertainty, limit: Some(limit as f32) }
    }
}

/// What the verdicts on the two rows of a guided image come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pair {
    /// Both leave when both may: by the higher uncertainty.
    #[default]
    Max,
    /// Both leave when the mean of their uncertainties is below the limit (where a policy compares with none: as
    /// [`Pair::Max`]).
    Mean,
    /// Both leave when the conditional one may.
    Conditional,
    /// Each leaves by itself.
    Apart,
}

impl Pair {
    /// As typed behind `pair=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Conditional => "cond",
            Self::Apart => "apart",
        }
    }

    /// Whether both rows of an image that stay together leave, by their verdicts, the conditional one's first.
    pub(crate) fn leave(self, verdicts: &[Verdict]) -> bool {
        let all = verdicts.iter().all(|v| v.leave);
        match self {
            Self::Max | Self::Apart => all,
            Self::Conditional => verdicts.first().is_some_and(|v| v.leave),
            Self::Mean => {
                let limits: Option<f32> = verdicts.iter().map(|v| v.limit).sum();
                let uncertainty: f32 = verdicts.iter().map(|v| v.uncertainty).sum();
                all || limits.is_some_and(|limits| uncertainty < limits)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_leaves_as_its_rule_says() {
        let pair = |c, u| [Verdict::below(c, 0.5), Verdict::below(u, 0.5)];
        let rules = [Pair::Max, Pair::Mean, Pair::Conditional];
        let left = |verdicts: [Verdict; 2]| rules.map(|rule| rule.leave(&verdicts));
        assert_eq!(left(pair(0.4, 0.45)), [true, true, true]);
        assert_eq!(left(pair(0.3, 0.6)), [false, true, true]);
        assert_eq!(left(pair(0.6, 0.3)), [false, true, false]);
        assert_eq!(left(pair(0.4, 0.7)), [false, false, true]);
        let no_limit = [Verdict { leave: true, uncertainty: 0.1, limit: None }, Verdict::below(0.9, 0.5)];
        assert_eq!(left(no_limit), [false, false, true]);
    }
}
