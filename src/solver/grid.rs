//! Time grids: which timesteps a run of n steps visits.
//!
//! "Spacing" has three names (Lin et al. 2023, table 2), but each means a different list in different
//! schedulers of Hugging Face's diffusers. Here that difference has a name too, the [`Convention`]:
//!
//! | spacing | [`Convention::Points`] | [`Convention::Intervals`] | [`Convention::Real`] |
//! |---|---|---|---|
//! | leading | `k·⌊T/n⌋ + offset`, k < n | `k·⌊T/(n+1)⌋ + offset`, 1 ≤ k ≤ n | as `Points` |
//! | trailing | `round(T − k·T/n) − 1` | the same | the same |
//! | linspace | n points over [0, T−1], rounded | n+1 points over [0, T−1], rounded, without 0 | n points, not rounded |
//! | used by | DDIM, DDPM | DPM-Solver, DPM-Solver++, UniPC | Euler, Heun |
//!
//! Rounding is half to even, as numpy's. A path always has exactly n+1 nodes, the last being the end; where
//! floating point makes numpy's `arange` return a point too many (trailing with T = 1000 and n = 61, whose
//! 62nd timestep is −1), ours does not.
//!
//! **DDIM and DDPM.** Hugging Face's step from t to t − ⌊T/n⌋ whatever the grid says; ours go to the grid's
//! next node. That is the same for leading, and for trailing where n divides T; for linspace, and trailing
//! elsewhere, theirs leaves the grid on which the network is then called.

use serde::{Deserialize, Serialize};

use super::SolverError;
use super::diffusion::{Diffusion, MAX_TIMESTEPS, Node, linspace};

/// How timesteps are spread over [0, T).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// Multiples of a whole stride from 0 upwards: the noisiest steps are left out.
    Leading,
    /// From T−1 downwards.
    Trailing,
    /// From T−1 down to 0, both included (see [`Convention::Intervals`] for 0).
    Linspace,
}

/// Which of the lists that go by a spacing's name is meant; see the [module](self)'s table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// The grid has n whole points; the step after the last goes to the end.
    Points,
    /// The grid has n whole intervals: n+1 points, of which the smallest gives way to the end.
    Intervals,
    /// As `Points`, but linspace is not rounded.
    Real,
}

/// Where a path ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalSigma {
    /// At the image itself, [`Node::CLEAN`].
    Zero,
    /// At t = 0, the least noise that the network was trained on.
    SigmaMin,
}

/// A recipe for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Which list the spacing means.
    pub convention: Convention,
    /// How timesteps are spread.
    pub spacing: Spacing,
    /// Added to every timestep of a leading grid; has no meaning for the others.
    pub offset: usize,
    /// Where the path ends.
    pub final_sigma: FinalSigma,
}

impl Grid {
    /// The `steps` timesteps at which the path is entered, falling, without the end.
    ///
    /// # Errors
    /// `timesteps` is above [`MAX_TIMESTEPS`]; `steps` is 0 or more than `timesteps`; the offset pushes a timestep past T−1; the stride is so short
    /// that a timestep is repeated (intervals with n close to T).
    pub fn times(&self, timesteps: usize, steps: usize) -> Result<Vec<f64>, SolverError> {
        if timesteps > MAX_TIMESTEPS {
            return Err(SolverError::Timesteps { timesteps });
        }
        if steps == 0 || steps > timesteps {
            return Err(SolverError::Steps { steps, timesteps });
        }
        let (total, n, last) = (timesteps as f64, steps as f64, (timesteps - 1) as f64);
        let multiples = |first: usize, stride: usize| -> Vec<f64> {
            (first..first + steps).map(|k| k as f64 * stride as f64 + self.offset as f64).rev().collect()
        };
        let times: Vec<f64> = match (self.spacing, self.convention) {
            (Spacing::Leading, Convention::Intervals) => multiples(1, timesteps / (steps + 1)),
            (Spacing::Leading, _) => multiples(0, timesteps / steps),
            (Spacing::Trailing, _) => {
                // numpy's arange steps by the difference of its first two values, whose rounding shows at ties.
                let stride = total - (total - total / n);
                (0..steps).map(|k| (total - k as f64 * stride).round_ties_even() - 1.0).collect()
            }
            (Spacing::Linspace, Convention::Intervals) => {
                let points = linspace(0.0, last, steps + 1);
                points[1..].iter().rev().map(|t| t.round_ties_even()).collect()
            }
            (Spacing::Linspace, Convention::Points) => {
                linspace(0.0, last, steps).iter().rev().map(|t| t.round_ties_even()).collect()
            }
            (Spacing::Linspace, Convention::Real) => linspace(0.0, last, steps).into_iter().rev().collect(),
        };
        if times[0] > last {
            return Err(SolverError::Offset { offset: self.offset, t: times[0], timesteps });
        }
        match times.windows(2).find(|pair| pair[0] <= pair[1]) {
            Some(pair) => Err(SolverError::RepeatedTime { t: pair[1], steps, timesteps }),
            None => Ok(times),
        }
    }

    /// The path of `steps` + 1 nodes.
    ///
    /// A path that ends at σ_min may already have its last timestep at 0: the last step is then empty. That
    /// is allowed, as it is in Hugging Face's DDIM and Euler, except for [`Convention::Intervals`], whose
    /// solvers divide by the length of a step in log-SNR.
    ///
    /// # Errors
    /// Those of [`Grid::times`], and an empty last step where it is not allowed.
    pub fn path(&self, diffusion: &Diffusion, steps: usize) -> Result<Vec<Node>, SolverError> {
        let times = self.times(diffusion.timesteps(), steps)?;
        let mut path: Vec<Node> = times.into_iter().map(|t| diffusion.node(t)).collect();
        let end = match self.final_sigma {
            FinalSigma::Zero => Node::CLEAN,
            FinalSigma::SigmaMin => diffusion.node(0.0),
        };
        if self.convention == Convention::Intervals && path.last().is_some_and(|last| last.t == end.t) {
            return Err(SolverError::EmptyLastStep { steps });
        }
        path.push(end);
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::diffusion::BetaSchedule;
    use super::*;

    fn grid(convention: Convention, spacing: Spacing) -> Grid {
        Grid { convention, spacing, offset: 0, final_sigma: FinalSigma::Zero }
    }

    #[test]
    fn the_table_of_the_module_holds() {
        use {Convention::*, Spacing::*};
        let times = |c, s| grid(c, s).times(1000, 4).unwrap();
        assert_eq!(times(Points, Leading), [750.0, 500.0, 250.0, 0.0]);
        assert_eq!(times(Intervals, Leading), [800.0, 600.0, 400.0, 200.0]);
        assert_eq!(times(Points, Trailing), [999.0, 749.0, 499.0, 249.0]);
        assert_eq!(times(Points, Linspace), [999.0, 666.0, 333.0, 0.0]);
        // 249.75, 499.5, 749.25: the tie goes to the even 500.
        assert_eq!(times(Intervals, Linspace), [999.0, 749.0, 500.0, 250.0]);
        assert_eq!(grid(Real, Linspace).times(1000, 5).unwrap(), [999.0, 749.25, 499.5, 249.75, 0.0]);
    }

    #[test]
    fn trailing_61_has_no_timestep_minus_one() {
        let times = grid(Convention::Points, Spacing::Trailing).times(1000, 61).unwrap();
        assert_eq!((times.len(), times[60] > 0.0), (61, true));
    }

    #[test]
    fn impossible_grids_are_refused() {
        let points = grid(Convention::Points, Spacing::Leading);
        assert!(matches!(points.times(1000, 0), Err(SolverError::Steps { steps: 0, timesteps: 1000 })));
        assert!(matches!(points.times(1000, 1001), Err(SolverError::Steps { .. })));
        assert!(matches!(points.times(usize::MAX, usize::MAX), Err(SolverError::Timesteps { .. })));
        let shifted = Grid { offset: 2, ..points };
        assert!(matches!(shifted.times(1000, 500), Err(SolverError::Offset { offset: 2, .. })));
        assert!(Grid { offset: usize::MAX, ..points }.times(1000, 5).is_err());
        let crowded = grid(Convention::Intervals, Spacing::Linspace);
        assert!(matches!(crowded.times(1000, 1000), Err(SolverError::RepeatedTime { .. })));
        let d = Diffusion::new(BetaSchedule::Linear, 1000, 1e-4, 0.02).unwrap();
        let empty =
            Grid { final_sigma: FinalSigma::SigmaMin, ..grid(Convention::Intervals, Spacing::Trailing) };
        assert!(matches!(empty.path(&d, 1000), Err(SolverError::EmptyLastStep { steps: 1000 })));
    }

    proptest! {
        #[test]
        fn a_path_falls_and_has_one_node_more_than_steps(
            t in 1usize..1500, n in 0usize..1600, c in 0usize..3, s in 0usize..3, offset in 0usize..3,
        ) {
            let d = Diffusion::new(BetaSchedule::Linear, t, 1e-4, 0.02).unwrap();
            let grid = Grid {
                convention: [Convention::Points, Convention::Intervals, Convention::Real][c],
                spacing: [Spacing::Leading, Spacing::Trailing, Spacing::Linspace][s],
                offset,
                final_sigma: FinalSigma::Zero,
            };
            if let Ok(path) = grid.path(&d, n) {
                prop_assert_eq!(path.len(), n + 1);
                prop_assert!(path.windows(2).all(|p| p[0].t > p[1].t && p[0].sigma_ve() > p[1].sigma_ve()));
                prop_assert!(path[0].t <= (t - 1) as f64);
            }
        }
    }
}
