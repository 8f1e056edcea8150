//! Adapters over the schedulers of the diffusers crate (diffusers-rs 0.3.1), as [`Lockstep`] solvers.
//!
//! They are an independent implementation to compare with, and bring LMS, PNDM and k-diffusion's DPM-2. Each
//! has its crate's own time grid: DDIM and PNDM leading with offset 1, the DPM-Solvers linspace down to σ_min,
//! the others a real linspace down to 0.
//!
//! Every scheduler is told that its model predicts ε and is given the prediction's, after guidance and clip.
//! The crate answers bad input with a panic, so all that could cause one is refused before a scheduler is
//! made or stepped. Its Euler scheduler advances libtorch's global generator without using what it draws.

use diffusers::schedulers::ddim::{DDIMScheduler, DDIMSchedulerConfig};
use diffusers::schedulers::dpmsolver_multistep::{
    DPMSolverAlgorithmType, DPMSolverMultistepScheduler, DPMSolverMultistepSchedulerConfig,
};
use diffusers::schedulers::euler_discrete::{EulerDiscreteScheduler, EulerDiscreteSchedulerConfig};
use diffusers::schedulers::heun_discrete::{HeunDiscreteScheduler, HeunDiscreteSchedulerConfig};
use diffusers::schedulers::k_dpm_2_discrete::{KDPM2DiscreteScheduler, KDPM2DiscreteSchedulerConfig};
use diffusers::schedulers::lms_discrete::{LMSDiscreteScheduler, LMSDiscreteSchedulerConfig};
use diffusers::schedulers::pndm::{PNDMScheduler, PNDMSchedulerConfig};
use diffusers::schedulers::{BetaSchedule as Betas, PredictionType as Predicts};
use tch::{Device, Tensor};

use super::diffusion::{BetaSchedule, Diffusion, Node};
use super::lockstep::{Lockstep, LockstepRun};
use super::method::{AdapterName, Method};
use super::plan::Evaluation;
use super::prediction::Prediction;
use super::spec::SolverSpec;
use super::{SolverError, expect};

/// Makes an adapter for `steps` steps.
///
/// # Errors
/// A beta schedule that the crate does not have or gets wrong; a number of steps that its grid cannot hold.
pub(super) fn adapter(
    name: AdapterName,
    diffusion: &Diffusion,
    steps: usize,
) -> Result<Box<dyn Lockstep>, SolverError> {
    let settings = Settings { name, betas: betas(name, diffusion)?, diffusion: diffusion.clone(), steps };
    settings.check_steps()?;
    let evaluations = settings.evaluations()?;
    Ok(Box::new(Adapter { settings, evaluations }))
}

struct Settings {
    name: AdapterName,
    betas: Betas,
    diffusion: Diffusion,
    steps: usize,
}

struct Adapter {
    settings: Settings,
    evaluations: Vec<Evaluation>,
}

impl Lockstep for Adapter {
    fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }

    fn start(&self) -> Result<Box<dyn LockstepRun>, SolverError> {
        let nodes = self.evaluations.iter().map(|e| e.node).collect();
        Ok(Box::new(Run {
            scheduler: self.settings.scheduler(),
            nodes,
            next: 0,
            shape: Vec::new(),
            device: Device::Cpu,
        }))
    }
}

struct Run {
    scheduler: Box<dyn Scheduler>,
    nodes: Vec<Node>,
    next: usize,
    shape: Vec<i64>,
    device: Device,
}

impl LockstepRun for Run {
    fn advance(&mut self, e: usize, x: &Tensor, prediction: &Prediction) -> Result<Tensor, SolverError> {
        let shape = x.size();
        if e != self.next || e >= self.nodes.len() {
            let expected = format!("the next of {} is {}", self.nodes.len(), self.next);
            return Err(SolverError::Evaluation { evaluation: e, expected });
        }
        if e == 0 {
            self.shape = shape;
        }
        expect("x", x, &self.shape)?;
        if e == 0 {
            self.device = x.device();
        }
        expect("the predicted ε", &prediction.eps, &self.shape)?;
        // What the scheduler remembers lies where the first x did.
        let (x, eps) = (x.f_to_device(self.device)?, prediction.eps.f_to_device(self.device)?);
        self.next += 1;
        if !self.scheduler.in_sigma_space() {
            return Ok(self.scheduler.step(e, &eps, &x));
        }
        let y = x.f_div_scalar(self.nodes[e].alpha)?;
        let y = self.scheduler.step(e, &eps, &y);
        Ok(y.f_mul_scalar(self.nodes.get(e + 1).map_or(1.0, |next| next.alpha))?)
    }
}

/// What the crate's schedulers have in common, which it does not say itself.
trait Scheduler: Send {
    fn times(&self) -> Vec<f64>;
    /// Whether x is variance-exploding.
    fn in_sigma_space(&self) -> bool;
    /// What the model's input at evaluation `e` is of the scheduler's x: α where that is variance-exploding.
    fn input_scale(&self, e: usize) -> f64;
    fn step(&mut self, e: usize, eps: &Tensor, x: &Tensor) -> Tensor;
}

/// The schedulers whose timesteps are whole numbers take x as it is; those with real ones scale it.
macro_rules! scheduler {
    ($scheduler:ty, variance_preserving) => {
        impl Scheduler for $scheduler {
            fn times(&self) -> Vec<f64> {
                self.timesteps().iter().map(|&t| t as f64).collect()
            }
            fn in_sigma_space(&self) -> bool {
                false
            }
            fn input_scale(&self, _: usize) -> f64 {
                1.0
            }
            fn step(&mut self, e: usize, eps: &Tensor, x: &Tensor) -> Tensor {
                let t = self.timesteps()[e];
                <$scheduler>::step(self, eps, t, x)
            }
        }
    };
    ($scheduler:ty, variance_exploding) => {
        impl Scheduler for $scheduler {
            fn times(&self) -> Vec<f64> {
                self.timesteps().to_vec()
            }
            fn in_sigma_space(&self) -> bool {
                true
            }
            fn input_scale(&self, e: usize) -> f64 {
                self.scale_model_input(Tensor::from(1.0f64), self.timesteps()[e]).double_value(&[])
            }
            fn step(&mut self, e: usize, eps: &Tensor, x: &Tensor) -> Tensor {
                let t = self.timesteps()[e];
                <$scheduler>::step(self, eps, t, x)
            }
        }
    };
}

scheduler!(DDIMScheduler, variance_preserving);
scheduler!(DPMSolverMultistepScheduler, variance_preserving);
scheduler!(PNDMScheduler, variance_preserving);
scheduler!(EulerDiscreteScheduler, variance_exploding);
scheduler!(HeunDiscreteScheduler, variance_exploding);
scheduler!(LMSDiscreteScheduler, variance_exploding);
scheduler!(KDPM2DiscreteScheduler, variance_exploding);

impl Settings {
    /// Refuses the numbers of steps at which the crate panics or divides by zero.
    fn check_steps(&self) -> Result<(), SolverError> {
        let (steps, timesteps) = (self.steps, self.diffusion.timesteps());
        if steps == 0 || steps > timesteps {
            return Err(SolverError::Steps { steps, timesteps });
        }
        let refuse = |reason: String| Err(refused(self.name, reason));
        match self.name {
            // Leading with offset 1: the first timestep must be one of training.
            AdapterName::Ddim | AdapterName::Pndm if (steps - 1) * (timesteps / steps) + 1 >= timesteps => {
                refuse(format!("its grid of {steps} steps starts past the last of {timesteps} timesteps"))
            }
            AdapterName::DpmSolver { .. } | AdapterName::DpmSolverPp { .. } if steps >= timesteps => {
                refuse(format!("its grid has room for at most {} steps", timesteps - 1))
            }
            AdapterName::DpmSolver { .. } | AdapterName::DpmSolverPp { .. } | AdapterName::Pndm
                if steps < 2 =>
            {
                refuse("it needs at least 2 steps".into())
            }
            AdapterName::Euler | AdapterName::Heun | AdapterName::Lms | AdapterName::KDpm2
                if timesteps < 2 =>
            {
                refuse("it needs at least 2 training timesteps".into())
            }
            _ => Ok(()),
        }
    }

    /// The network calls, found by a rehearsal on a single number: the noise levels are private, and where
    /// k-DPM-2 puts its midpoints depends on the state it is in.
    fn evaluations(&self) -> Result<Vec<Evaluation>, SolverError> {
        let mut scheduler = self.scheduler();
        let (zero, one) = (Tensor::from(0.0f64), Tensor::from(1.0f64));
        let calls_per_step = match self.name {
            AdapterName::Heun | AdapterName::KDpm2 => 2,
            _ => 1,
        };
        let mut evaluations = Vec::new();
        for (e, t) in scheduler.times().into_iter().enumerate() {
            let node = if scheduler.in_sigma_space() {
                let alpha = scheduler.input_scale(e);
                Node { t, alpha, sigma: ((1.0 - alpha) * (1.0 + alpha)).sqrt() }
            } else {
                self.diffusion.node(t)
            };
            if !(node.alpha > 0.0 && node.sigma > 0.0) {
                return Err(SolverError::Degenerate { t, alpha: node.alpha, sigma: node.sigma });
            }
            // PNDM's second call repeats its first step.
            let step = if self.name == AdapterName::Pndm { e.saturating_sub(1) } else { e / calls_per_step };
            evaluations.push(Evaluation { node, step });
            let _ = scheduler.step(e, &zero, &one);
        }
        Ok(evaluations)
    }

    fn scheduler(&self) -> Box<dyn Scheduler> {
        let (beta_start, beta_end) = (self.diffusion.beta_start(), self.diffusion.beta_end());
        let (beta_schedule, train_timesteps) = (self.betas, self.diffusion.timesteps());
        let prediction_type = Predicts::Epsilon;
        let steps = self.steps;
        macro_rules! new {
            ($scheduler:ident, $config:ident { $($more:tt)* }) => {
                Box::new($scheduler::new(
                    steps,
                    $config { beta_start, beta_end, beta_schedule, train_timesteps, prediction_type, $($more)* },
                ))
            };
        }
        let dpm = |solver_order: usize, algorithm_type: DPMSolverAlgorithmType| -> Box<dyn Scheduler> {
            new!(
                DPMSolverMultistepScheduler,
                DPMSolverMultistepSchedulerConfig { solver_order, algorithm_type, ..Default::default() }
            )
        };
        match self.name {
            AdapterName::Ddim => {
                new!(DDIMScheduler, DDIMSchedulerConfig { eta: 0.0, steps_offset: 1 })
            }
            AdapterName::DpmSolver { order } => dpm(order, DPMSolverAlgorithmType::DPMSolver),
            AdapterName::DpmSolverPp { order } => dpm(order, DPMSolverAlgorithmType::DPMSolverPlusPlus),
            AdapterName::Euler => new!(EulerDiscreteScheduler, EulerDiscreteSchedulerConfig {}),
            AdapterName::Heun => new!(HeunDiscreteScheduler, HeunDiscreteSchedulerConfig {}),
            AdapterName::Lms => {
                new!(LMSDiscreteScheduler, LMSDiscreteSchedulerConfig { ..Default::default() })
            }
            AdapterName::Pndm => new!(PNDMScheduler, PNDMSchedulerConfig { ..Default::default() }),
            AdapterName::KDpm2 => new!(KDPM2DiscreteScheduler, KDPM2DiscreteSchedulerConfig {}),
        }
    }
}

fn refused(name: AdapterName, reason: String) -> SolverError {
    SolverError::Refused { solver: SolverSpec::new(Method::Adapter(name)).to_string(), reason }
}

fn betas(name: AdapterName, diffusion: &Diffusion) -> Result<Betas, SolverError> {
    match diffusion.schedule() {
        BetaSchedule::Linear => Ok(Betas::Linear),
        BetaSchedule::ScaledLinear => Ok(Betas::ScaledLinear),
        BetaSchedule::SquaredcosCapV2 => {
            Err(refused(name, "the crate's squaredcos_cap_v2 divides whole numbers and gives β = 0".into()))
        }
        BetaSchedule::Sigmoid => Err(refused(name, "the crate has no sigmoid schedule".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::StartAt;
    use super::*;

    const NAMES: [AdapterName; 11] = [
        AdapterName::Ddim,
        AdapterName::DpmSolver { order: 2 },
        AdapterName::DpmSolver { order: 3 },
        AdapterName::DpmSolverPp { order: 1 },
        AdapterName::DpmSolverPp { order: 2 },
        AdapterName::DpmSolverPp { order: 3 },
        AdapterName::Euler,
        AdapterName::Heun,
        AdapterName::Lms,
        AdapterName::Pndm,
        AdapterName::KDpm2,
    ];

    fn diffusion(schedule: BetaSchedule, timesteps: usize) -> Diffusion {
        Diffusion::new(schedule, timesteps, 1e-3, 0.02).unwrap()
    }

    /// Every number of steps either is refused or runs to a finite end: nothing panics.
    #[test]
    fn any_number_of_steps_runs_or_is_refused() {
        for name in NAMES {
            for timesteps in [1, 2, 3, 4, 10, 13] {
                let mut ran = 0;
                for steps in 0..=timesteps + 2 {
                    let diffusion = diffusion(BetaSchedule::Linear, timesteps);
                    let Ok(adapter) = adapter(name, &diffusion, steps) else { continue };
                    let mut run = adapter.start().unwrap();
                    let mut x = Tensor::from_slice(&[0.5f32, -1.0]).view([1, 1, 1, 2]);
                    for (e, evaluation) in adapter.evaluations().iter().enumerate() {
                        let (a, s) = (evaluation.node.alpha, evaluation.node.sigma);
                        let eps = &x * 0.8;
                        let x0 = (&x - &eps * s) / a;
                        x = run.advance(e, &x, &Prediction { eps, x0, variance: None }).unwrap();
                    }
                    assert!(x.isfinite().all().int64_value(&[]) == 1, "{name:?} {steps} of {timesteps}");
                    ran += 1;
                }
                assert!(ran > 0 || timesteps < 4, "{name:?} never runs with {timesteps} timesteps");
            }
        }
    }

    #[test]
    fn what_the_crate_cannot_do_is_refused() {
        for name in NAMES {
            let bad = [BetaSchedule::SquaredcosCapV2, BetaSchedule::Sigmoid];
            for schedule in bad {
                let made = adapter(name, &diffusion(schedule, 100), 10);
                assert!(matches!(made, Err(SolverError::Refused { .. })), "{name:?}");
            }
            let spec = SolverSpec::new(Method::Adapter(name));
            let linear = diffusion(BetaSchedule::Linear, 100);
            assert!(matches!(
                spec.build(&linear, 10, StartAt::Strength(0.5)),
                Err(SolverError::Refused { .. })
            ));
            assert!(spec.build(&linear, 10, StartAt::Strength(1.0)).is_ok());
        }
    }

    #[test]
    fn a_run_is_made_in_order_on_one_batch() {
        let adapter = adapter(AdapterName::Euler, &diffusion(BetaSchedule::Linear, 100), 3).unwrap();
        let mut run = adapter.start().unwrap();
        let x = Tensor::zeros([2, 1, 2, 2], tch::kind::FLOAT_CPU);
        let prediction = || Prediction { eps: x.copy(), x0: x.copy(), variance: None };
        assert!(matches!(run.advance(1, &x, &prediction()), Err(SolverError::Evaluation { .. })));
        let _ = run.advance(0, &x, &prediction()).unwrap();
        assert!(matches!(run.advance(0, &x, &prediction()), Err(SolverError::Evaluation { .. })));
        assert!(matches!(run.advance(1, &x.narrow(0, 0, 1), &prediction()), Err(SolverError::Shape { .. })));
    }
}
