//! A solver by name and options, and the plan it makes.

use serde::{Deserialize, Serialize};

use super::SolverError;
use super::ddim::ddim;
use super::ddpm::ddpm;
use super::diffusion::{Diffusion, Node};
use super::dpm_solver::{dpm_solver, dpm_solver_pp_single};
use super::dpm_solver_pp::{dpm_solver_multistep, dpm_solver_pp, dpm_solver_pp_sde};
use super::euler::{euler, euler_ancestral};
use super::grid::{Convention, FinalSigma, Grid, Spacing};
use super::heun::heun;
use super::lockstep::Lockstep;
use super::method::{AdapterName, Method};
use super::plan::{Evaluation, Plan};
use super::unipc::unipc;

// From noise, a run's first σ must be at least this: below it, x should be mostly image.
const MIN_FIRST_SIGMA: f64 = 0.5;

/// Where on its path a run starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StartAt {
    /// At the first node, from noise.
    Noise,
    /// From a given image with noise added: of n steps the last min(⌊n·s⌋, n) are run, s in (0, 1].
    Strength(f64),
}

/// A solver and its options: what a user writes as `name[:key=value,…]`.
///
/// Each field that is not written takes the default of the solver's Hugging Face class: spacing leading for
/// DDIM and DDPM, linspace for all others; offset 0; the end at zero, except for the noise-prediction
/// DPM-Solvers, which need σ_min. Adapters have the diffusers crate's own grid and no options.
///
/// ```
/// use offramp::solver::{BetaSchedule, Diffusion, SolverSpec, StartAt};
///
/// let diffusion = Diffusion::new(BetaSchedule::Linear, 1000, 1e-4, 0.02)?;
/// let spec: SolverSpec = "heun:spacing=trailing".parse()?;
/// assert_eq!(spec.plan(&diffusion, 10, StartAt::Noise)?.evaluations().len(), 19);
/// assert_eq!(spec.to_string(), "heun:spacing=trailing");
/// # Ok::<(), offramp::solver::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SolverSpec {
    /// The algorithm.
    pub method: Method,
    /// The spacing of its time grid.
    pub spacing: Spacing,
    /// Added to the timesteps of a leading grid.
    pub offset: usize,
    /// Where its path ends.
    pub final_sigma: FinalSigma,
}

/// A solver that is ready to run.
pub enum Solver {
    /// Images of one batch may stand at different evaluations.
    Plan(Plan),
    /// All rows of a batch move together.
    Lockstep(Box<dyn Lockstep>),
}

impl Solver {
    /// The network calls, in order.
    pub fn evaluations(&self) -> &[Evaluation] {
        match self {
            Solver::Plan(plan) => plan.evaluations(),
            Solver::Lockstep(lockstep) => lockstep.evaluations(),
        }
    }
}

impl std::fmt::Debug for Solver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Solver::Plan(plan) => f.debug_tuple("Plan").field(plan).finish(),
            Solver::Lockstep(l) => f.debug_tuple("Lockstep").field(&l.evaluations()).finish(),
        }
    }
}

impl SolverSpec {
    /// The method on its default grid.
    pub fn new(method: Method) -> Self {
        let spacing = match method {
            Method::Ddim { .. } | Method::Ddpm { .. } => Spacing::Leading,
            _ => Spacing::Linspace,
        };
        let final_sigma = match method {
            Method::DpmSolver { .. } | Method::DpmSolverMultistep { .. } => FinalSigma::SigmaMin,
            _ => FinalSigma::Zero,
        };
        Self { method, spacing, offset: 0, final_sigma }
    }

    /// Whether the options fit together.
    ///
    /// # Errors
    /// An order or η out of range, an offset on a grid that is not leading, an end that the method cannot
    /// reach.
    pub fn check(&self) -> Result<(), SolverError> {
        let invalid = |key: &str, value: String, expected| {
            Err(SolverError::InvalidValue { key: key.to_string(), value, expected })
        };
        match self.method {
            Method::Ddim { eta } if !(0.0..=1.0).contains(&eta) => {
                return invalid("eta", eta.to_string(), "a number from 0 to 1");
            }
            Method::DpmSolverPp { order }
            | Method::UniPc { order, .. }
            | Method::Adapter(AdapterName::DpmSolverPp { order })
                if !(1..=3).contains(&order) =>
            {
                return invalid("order", order.to_string(), "1, 2 or 3");
            }
            Method::DpmSolver { order }
            | Method::DpmSolverMultistep { order }
            | Method::DpmSolverPpSingle { order }
            | Method::Adapter(AdapterName::DpmSolver { order })
                if !(2..=3).contains(&order) =>
            {
                return invalid("order", order.to_string(), "2 or 3");
            }
            Method::DpmSolver { .. } | Method::DpmSolverMultistep { .. }
                if self.final_sigma == FinalSigma::Zero =>
            {
                let reason = "final=zero ends where the log-SNR is infinite, and the noise-prediction form \
                              multiplies by its exponential; use final=sigma_min or dpm-solver++"
                    .to_string();
                return Err(SolverError::Refused { solver: self.to_string(), reason });
            }
            _ => {}
        }
        if self.offset > 0 && self.spacing != Spacing::Leading {
            return invalid("offset", self.offset.to_string(), "only a leading grid can be shifted");
        }
        Ok(())
    }

    /// The recipe of the method's time grid.
    pub fn grid(&self) -> Grid {
        let convention = match self.method {
            Method::Ddim { .. } | Method::Ddpm { .. } => Convention::Points,
            Method::Euler | Method::EulerAncestral | Method::Heun => Convention::Real,
            _ => Convention::Intervals,
        };
        Grid { convention, spacing: self.spacing, offset: self.offset, final_sigma: self.final_sigma }
    }

    /// Lays the solver out over `steps` steps.
    ///
    /// An image-to-image run keeps the last steps of the same grid and begins without history, at order 1.
    ///
    /// # Errors
    /// Options that do not fit ([`SolverSpec::check`]), a grid that cannot be made ([`Grid::path`]), a
    /// strength that is out of range or leaves nothing to run, an adapter, which has no plan.
    pub fn plan(&self, diffusion: &Diffusion, steps: usize, start: StartAt) -> Result<Plan, SolverError> {
        self.check()?;
        if let Method::Adapter(_) = self.method {
            let reason = "it keeps its state for a whole batch and has no plan".to_string();
            return Err(SolverError::Refused { solver: self.to_string(), reason });
        }
        let path = self.grid().path(diffusion, steps)?;
        let path: &[Node] = &path[steps - start.steps_of(steps)?..];
        // The rule of Hugging Face's classes counts the steps of the whole grid.
        let lower_order_final = steps < 15;
        Ok(match self.method {
            Method::Ddim { eta } => ddim(path, eta),
            Method::Ddpm { variance } => ddpm(path, variance),
            Method::DpmSolver { order } => dpm_solver(path, order),
            Method::DpmSolverMultistep { order } => dpm_solver_multistep(path, order, lower_order_final),
            Method::DpmSolverPp { order } => dpm_solver_pp(path, order, lower_order_final),
            Method::DpmSolverPpSingle { order } => dpm_solver_pp_single(path, order),
            Method::DpmSolverPpSde => dpm_solver_pp_sde(path, lower_order_final),
            Method::Euler => euler(path),
            Method::EulerAncestral => euler_ancestral(path),
            Method::UniPc { order, bh } => unipc(path, order, bh),
            // The adapters were refused above.
            Method::Heun | Method::Adapter(_) => heun(path),
        })
    }

    /// Makes the solver, be it a plan or an adapter.
    ///
    /// # Errors
    /// A start from noise at a node where σ is below ½: the network would take pure noise for a nearly
    /// finished image. (A leading grid of one step has its only node at t = 0.) Those of [`SolverSpec::plan`]; for an adapter, whatever its scheduler would panic at: a beta schedule
    /// it does not have, a number of steps its grid cannot hold, an image-to-image start.
    pub fn build(&self, diffusion: &Diffusion, steps: usize, start: StartAt) -> Result<Solver, SolverError> {
        let solver = match self.method {
            Method::Adapter(name) => Solver::Lockstep(self.lockstep(name, diffusion, steps, start)?),
            _ => Solver::Plan(self.plan(diffusion, steps, start)?),
        };
        match solver.evaluations().first() {
            Some(Evaluation { node: Node { t, sigma, .. }, .. })
                if start == StartAt::Noise && *sigma < MIN_FIRST_SIGMA =>
            {
                Err(SolverError::StartsInImage { solver: self.to_string(), steps, t: *t, sigma: *sigma })
            }
            _ => Ok(solver),
        }
    }

    fn lockstep(
        &self,
        name: AdapterName,
        diffusion: &Diffusion,
        steps: usize,
        start: StartAt,
    ) -> Result<Box<dyn Lockstep>, SolverError> {
        self.check()?;
        let refused =
            |reason: &str| Err(SolverError::Refused { solver: self.to_string(), reason: reason.to_string() });
        if start.steps_of(steps)? < steps {
            return refused(
                "it always starts from noise; use one of offramp's own solvers for image-to-image",
            );
        }
        #[cfg(feature = "diffusers")]
        return super::diffusers::adapter(name, diffusion, steps);
        #[cfg(not(feature = "diffusers"))]
        {
            let _ = (name, diffusion);
            refused("this build has no `diffusers` feature")
        }
    }
}

impl StartAt {
    /// How many of `steps` steps are run, the last ones.
    ///
    /// # Errors
    /// A strength outside (0, 1], or so small that none is.
    pub fn steps_of(self, steps: usize) -> Result<usize, SolverError> {
        match self {
            StartAt::Noise => Ok(steps),
            StartAt::Strength(strength) if !(strength > 0.0 && strength <= 1.0) => {
                Err(SolverError::Strength { strength })
            }
            StartAt::Strength(strength) => match (steps as f64 * strength) as usize {
                0 => Err(SolverError::NothingToRun { strength, steps }),
                kept => Ok(kept.min(steps)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::diffusion::BetaSchedule;
    use super::super::unipc::BhType;
    use super::*;

    fn diffusion() -> Diffusion {
        Diffusion::new(BetaSchedule::ScaledLinear, 1000, 0.00085, 0.012).unwrap()
    }

    fn spec(text: &str) -> SolverSpec {
        text.parse().unwrap()
    }

    #[test]
    fn strength_keeps_the_last_steps() {
        let full = spec("ddim").plan(&diffusion(), 10, StartAt::Noise).unwrap();
        let part = spec("ddim").plan(&diffusion(), 10, StartAt::Strength(0.39)).unwrap();
        let (full, part): (Vec<_>, Vec<_>) = (
            full.evaluations().iter().map(|e| e.node).collect(),
            part.evaluations().iter().map(|e| e.node).collect(),
        );
        assert_eq!(part, full[7..]);
        let start = |s| spec("ddim").plan(&diffusion(), 10, StartAt::Strength(s));
        assert!(matches!(start(0.05), Err(SolverError::NothingToRun { .. })));
        for s in [0.0, -1.0, 1.01, f64::NAN, f64::INFINITY] {
            assert!(matches!(start(s), Err(SolverError::Strength { .. })), "{s}");
        }
        assert_eq!(start(1.0).unwrap(), spec("ddim").plan(&diffusion(), 10, StartAt::Noise).unwrap());
    }

    #[test]
    fn noise_is_not_taken_for_a_nearly_finished_image() {
        let build = |text: &str, steps, start| spec(text).build(&diffusion(), steps, start);
        for text in ["ddim", "ddim:offset=1", "ddpm", "euler", "euler-ancestral", "heun"] {
            let refused = build(text, 1, StartAt::Noise).unwrap_err();
            assert!(matches!(refused, SolverError::StartsInImage { .. }) && refused.is_bad_input(), "{text}");
            let t = if text.contains("offset") { "timestep 1," } else { "timestep 0," };
            let message = refused.to_string();
            assert!(message.contains(t) && message.contains("spacing=trailing"), "{message}");
            assert!(build(text, 1, StartAt::Strength(1.0)).is_ok() && build(text, 2, StartAt::Noise).is_ok());
            assert!(spec(text).plan(&diffusion(), 1, StartAt::Noise).is_ok());
        }
        for text in ["ddim:spacing=trailing", "euler:spacing=trailing", "dpm-solver++2m", "unipc"] {
            assert!(build(text, 1, StartAt::Noise).is_ok(), "{text}");
        }
        assert_eq!(cfg!(feature = "diffusers"), build("diffusers:lms", 1, StartAt::Noise).is_ok());
        #[cfg(feature = "diffusers")]
        assert!(matches!(
            build("diffusers:ddim", 1, StartAt::Noise),
            Err(SolverError::StartsInImage { t: 1.0, .. })
        ));
    }

    /// The solvers are public functions too: whatever order they are given, they make a plan.
    #[test]
    fn orders_out_of_range_are_clamped() {
        let path = spec("dpm-solver-3").grid().path(&diffusion(), 7).unwrap();
        for (order, clamped) in [(0, 1), (4, 3), (usize::MAX, 3)] {
            assert_eq!(dpm_solver(&path, order), dpm_solver(&path, clamped));
            assert_eq!(dpm_solver_pp_single(&path, order), dpm_solver_pp_single(&path, clamped));
            assert_eq!(dpm_solver_pp(&path, order, true), dpm_solver_pp(&path, clamped, true));
            assert_eq!(dpm_solver_multistep(&path, order, true), dpm_solver_multistep(&path, clamped, true));
            assert_eq!(unipc(&path, order, BhType::Bh1), unipc(&path, clamped, BhType::Bh1));
        }
        for short in [&path[..0], &path[..1]] {
            assert!(dpm_solver(short, 3).evaluations().is_empty());
            assert!(dpm_solver_pp(short, 3, true).evaluations().is_empty());
            assert!(dpm_solver_pp_sde(short, true).evaluations().is_empty());
            assert!(
                unipc(short, 3, BhType::Bh2).evaluations().is_empty() && heun(short).evaluations().is_empty()
            );
            assert!(euler(short).evaluations().is_empty() && ddim(short, 0.0).evaluations().is_empty());
        }
    }

    #[test]
    fn a_spec_made_by_hand_is_checked() {
        let bad = |method| SolverSpec::new(method).plan(&diffusion(), 5, StartAt::Noise).is_err();
        assert!(bad(Method::Ddim { eta: f64::NAN }) && bad(Method::Ddim { eta: 1.5 }));
        assert!(bad(Method::DpmSolverPp { order: 0 }) && bad(Method::UniPc { order: 4, bh: BhType::Bh2 }));
        // Only orders that have no name are refused, and all of them.
        for order in 0..6 {
            for method in [
                Method::DpmSolver { order },
                Method::DpmSolverMultistep { order },
                Method::DpmSolverPp { order },
                Method::DpmSolverPpSingle { order },
                Method::Adapter(AdapterName::DpmSolver { order }),
                Method::Adapter(AdapterName::DpmSolverPp { order }),
            ] {
                let spec = SolverSpec::new(method);
                let built = spec.build(&diffusion(), 5, StartAt::Noise);
                if spec.name() == "(unnamed)" {
                    assert!(matches!(spec.check(), Err(SolverError::InvalidValue { .. })), "{method:?}");
                    assert!(matches!(built, Err(SolverError::InvalidValue { .. })), "{method:?}");
                } else {
                    assert_eq!(spec.to_string().parse::<SolverSpec>().unwrap(), spec);
                }
                assert_eq!(spec.name() == "(unnamed)", spec.check().is_err(), "{method:?}");
            }
        }
        let zero = SolverSpec { final_sigma: FinalSigma::Zero, ..spec("dpm-solver-2") };
        assert!(matches!(zero.check(), Err(SolverError::Refused { .. })));
    }
}
