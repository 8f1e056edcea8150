//! The algorithms there are, each with the options that are its own.

use super::ddpm::Variance;
use super::unipc::BhType;

/// Which algorithm, with the options that are its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// `ddim`
    Ddim {
        /// Stochasticity, in [0, 1].
        eta: f64,
    },
    /// `ddpm`
    Ddpm {
        /// The variance of a step.
        variance: Variance,
    },
    /// `dpm-solver-2`, `dpm-solver-3`: single-step
    DpmSolver {
        /// 2 or 3.
        order: usize,
    },
    /// `dpm-solver-2m`, `dpm-solver-3m`: multistep
    DpmSolverMultistep {
        /// 2 or 3.
        order: usize,
    },
    /// `dpm-solver++1`, `dpm-solver++2m`, `dpm-solver++3m`: multistep
    DpmSolverPp {
        /// 1 to 3.
        order: usize,
    },
    /// `dpm-solver++2s`, `dpm-solver++3s`: single-step
    DpmSolverPpSingle {
        /// 2 or 3.
        order: usize,
    },
    /// `dpm-solver++2m-sde`
    DpmSolverPpSde,
    /// `euler`
    Euler,
    /// `euler-ancestral`
    EulerAncestral,
    /// `heun`
    Heun,
    /// `unipc`
    UniPc {
        /// 1 to 3.
        order: usize,
        /// Which B(h).
        bh: BhType,
    },
    /// `diffusers:NAME`: a scheduler of the diffusers crate
    Adapter(AdapterName),
}

/// The schedulers of the diffusers crate that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdapterName {
    /// `diffusers:ddim`
    Ddim,
    /// `diffusers:dpm-solver-2m`, `diffusers:dpm-solver-3m`
    DpmSolver {
        /// 2 or 3.
        order: usize,
    },
    /// `diffusers:dpm-solver++1`, `diffusers:dpm-solver++2m`, `diffusers:dpm-solver++3m`
    DpmSolverPp {
        /// 1 to 3.
        order: usize,
    },
    /// `diffusers:euler`
    Euler,
    /// `diffusers:heun`
    Heun,
    /// `diffusers:lms`
    Lms,
    /// `diffusers:pndm`
    Pndm,
    /// `diffusers:k-dpm-2`
    KDpm2,
}
