//! The forward process: betas, ᾱ and the points of the path from noise to image.
//!
//! `x_t = α_t·x_0 + σ_t·ε` with `α_t = √ᾱ_t`, `σ_t = √(1−ᾱ_t)` (Ho et al. 2020, eq. 4); everything is f64.

use serde::{Deserialize, Serialize};

use super::SolverError;

/// A point of the path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// Real time in [0, T): what the network and a schedule see. −1 for [`Node::CLEAN`].
    pub t: f64,
    /// √ᾱ_t, the share of the image.
    pub alpha: f64,
    /// √(1−ᾱ_t), the share of the noise.
    pub sigma: f64,
}

impl Node {
    /// The end of the path: the image itself.
    pub const CLEAN: Node = Node { t: -1.0, alpha: 1.0, sigma: 0.0 };

    /// Half the log signal-to-noise ratio, `λ = ln(α/σ)`; infinite at [`Node::CLEAN`].
    pub fn lambda(&self) -> f64 {
        (self.alpha / self.sigma).ln()
    }

    /// The variance-exploding noise level `σ/α` of `x/α` (the "sigma" of Karras et al. 2022).
    pub fn sigma_ve(&self) -> f64 {
        self.sigma / self.alpha
    }

    /// The node at time `t` whose variance-exploding noise level is `sigma_ve`.
    pub(super) fn from_sigma_ve(t: f64, sigma_ve: f64) -> Self {
        let alpha = 1.0 / sigma_ve.hypot(1.0);
        Self { t, alpha, sigma: sigma_ve * alpha }
    }
}

/// Where β_t comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// β from `beta_start` to `beta_end` in equal steps.
    Linear,
    /// √β in equal steps (latent diffusion).
    ScaledLinear,
    /// `β_i = min(1 − ᾱ((i+1)/T)/ᾱ(i/T), 0.999)`, `ᾱ(u) = cos²((u+0.008)/1.008·π/2)` (Nichol & Dhariwal 2021).
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredcosCapV2,
    /// β along a sigmoid over [−6, 6] (GeoDiff).
    Sigmoid,
}

impl BetaSchedule {
    /// β_0 … β_{T−1} in f64. `start` and `end` are not used by [`BetaSchedule::SquaredcosCapV2`].
    fn betas(self, timesteps: usize, start: f64, end: f64) -> Vec<f64> {
        match self {
            Self::Linear => linspace(start, end, timesteps),
            Self::ScaledLinear => {
                linspace(start.sqrt(), end.sqrt(), timesteps).into_iter().map(|b| b * b).collect()
            }
            Self::SquaredcosCapV2 => {
                let alpha_bar = |u: f64| ((u + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
                let u = |i: usize| i as f64 / timesteps as f64;
                (0..timesteps).map(|i| (1.0 - alpha_bar(u(i + 1)) / alpha_bar(u(i))).min(0.999)).collect()
            }
            Self::Sigmoid => linspace(-6.0, 6.0, timesteps)
                .into_iter()
                .map(|u| (end - start) / (1.0 + (-u).exp()) + start)
                .collect(),
        }
    }
}

/// `n` equally spaced numbers from `start` to `end`, both included; `[start]` for n = 1 (numpy's `linspace`).
pub(super) fn linspace(start: f64, end: f64, n: usize) -> Vec<f64> {
    let step = (end - start) / (n.max(2) - 1) as f64;
    let mut points: Vec<f64> = (0..n).map(|i| start + i as f64 * step).collect();
    if n > 1 {
        points[n - 1] = end;
    }
    points
}

/// The most training timesteps that a configuration may ask for.
pub const MAX_TIMESTEPS: usize = 1_000_000;

// Below this, x0 = (x − σ·ε)/α is no longer an f32 worth having.
const MIN_ALPHA_CUMPROD: f64 = 1e-30;

/// The discrete forward process that a network was trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Diffusion {
    schedule: BetaSchedule,
    beta_start: f64,
    beta_end: f64,
    betas: Vec<f64>,
    alphas_cumprod: Vec<f64>,
}

impl Diffusion {
    /// Tabulates β and ᾱ for `timesteps` training steps T.
    ///
    /// `beta_start` and `beta_end` are β_0 and β_{T−1}; the squared-cosine schedule has its own and ignores
    /// them.
    ///
    /// # Errors
    /// T outside 1 … [`MAX_TIMESTEPS`]; a β that is not inside (0, 1); so much noise that ᾱ vanishes.
    pub fn new(
        schedule: BetaSchedule,
        timesteps: usize,
        beta_start: f64,
        beta_end: f64,
    ) -> Result<Self, SolverError> {
        if timesteps == 0 || timesteps > MAX_TIMESTEPS {
            return Err(SolverError::Timesteps { timesteps });
        }
        let betas = schedule.betas(timesteps, beta_start, beta_end);
        if let Some((t, &beta)) = betas.iter().enumerate().find(|(_, b)| !(**b > 0.0 && **b < 1.0)) {
            return Err(SolverError::Beta { t, beta });
        }
        let alphas_cumprod: Vec<f64> = betas
            .iter()
            .scan(1.0, |product, beta| {
                *product *= 1.0 - beta;
                Some(*product)
            })
            .collect();
        match alphas_cumprod.iter().position(|a| *a < MIN_ALPHA_CUMPROD) {
            Some(t) => Err(SolverError::NoSignal { t }),
            None => Ok(Self { schedule, beta_start, beta_end, betas, alphas_cumprod }),
        }
    }

    /// β_t for t = 0 … T−1.
    pub fn betas(&self) -> &[f64] {
        &self.betas
    }

    /// ᾱ_t = Π (1 − β) up to and including t, for t = 0 … T−1.
    pub fn alphas_cumprod(&self) -> &[f64] {
        &self.alphas_cumprod
    }

    /// T, the number of training timesteps.
    pub fn timesteps(&self) -> usize {
        self.betas.len()
    }

    /// The schedule that β came from.
    pub fn schedule(&self) -> BetaSchedule {
        self.schedule
    }

    /// β_0 as given (see [`Diffusion::new`]).
    pub fn beta_start(&self) -> f64 {
        self.beta_start
    }

    /// β_{T−1} as given (see [`Diffusion::new`]).
    pub fn beta_end(&self) -> f64 {
        self.beta_end
    }

    /// The point of the path at real time `t`, which is clamped to [0, T−1]; NaN counts as 0.
    ///
    /// Between two integers the variance-exploding σ/α is interpolated linearly, as Hugging Face's
    /// `EulerDiscreteScheduler` does; the pair is then scaled back so that α² + σ² = 1.
    pub fn node(&self, t: f64) -> Node {
        let t = if t.is_nan() { 0.0 } else { t.clamp(0.0, (self.timesteps() - 1) as f64) };
        let (below, share) = (t.floor() as usize, t.fract());
        let at = |i: usize| {
            let alpha_cumprod = self.alphas_cumprod[i];
            Node { t, alpha: alpha_cumprod.sqrt(), sigma: (1.0 - alpha_cumprod).sqrt() }
        };
        if share == 0.0 {
            return at(below);
        }
        let sigma_ve = (1.0 - share) * at(below).sigma_ve() + share * at(below + 1).sigma_ve();
        Node::from_sigma_ve(t, sigma_ve)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear() -> Diffusion {
        Diffusion::new(BetaSchedule::Linear, 1000, 1e-4, 0.02).unwrap()
    }

    #[test]
    fn the_first_squared_cosine_betas_are_not_zero() {
        let d = Diffusion::new(BetaSchedule::SquaredcosCapV2, 1000, 0.0, 0.0).unwrap();
        assert!((d.betas()[0] - 4.1e-5).abs() < 1e-6 && (d.betas()[1] - 4.6e-5).abs() < 1e-6);
        assert_eq!(d.betas()[999], 0.999);
    }

    #[test]
    fn bad_tables_are_refused() {
        let new = |t, a, b| Diffusion::new(BetaSchedule::Linear, t, a, b);
        assert!(matches!(new(0, 1e-4, 0.02), Err(SolverError::Timesteps { timesteps: 0 })));
        assert!(matches!(new(usize::MAX, 1e-4, 0.02), Err(SolverError::Timesteps { .. })));
        assert!(matches!(new(10, 0.0, 0.02), Err(SolverError::Beta { t: 0, .. })));
        assert!(matches!(new(10, 1e-4, 1.0), Err(SolverError::Beta { t: 9, .. })));
        assert!(matches!(new(10, f64::NAN, 0.02), Err(SolverError::Beta { t: 0, .. })));
        assert!(matches!(new(10, 1e-4, f64::INFINITY), Err(SolverError::Beta { .. })));
        assert!(matches!(new(100_000, 0.01, 0.02), Err(SolverError::NoSignal { .. })));
        assert!(Diffusion::new(BetaSchedule::ScaledLinear, 10, -1.0, 0.02).is_err());
    }

    #[test]
    fn one_timestep_is_a_process_too() {
        let d = Diffusion::new(BetaSchedule::Linear, 1, 0.1, 0.2).unwrap();
        assert_eq!(d.betas(), [0.1]);
        assert_eq!((d.node(0.7).t, d.node(f64::NAN).t), (0.0, 0.0));
    }

    #[test]
    fn nodes_preserve_variance_and_interpolate_between_neighbours() {
        let d = linear();
        for t in [0.0, 0.25, 10.5, 998.999, 999.0] {
            let node = d.node(t);
            assert!((node.alpha.powi(2) + node.sigma.powi(2) - 1.0).abs() < 1e-14, "{t}");
        }
        let (a, m, b) = (d.node(500.0), d.node(500.5), d.node(501.0));
        assert!((m.sigma_ve() - (a.sigma_ve() + b.sigma_ve()) / 2.0).abs() < 1e-12);
        assert_eq!(d.node(-3.0), d.node(0.0));
        assert_eq!(d.node(1e9), d.node(999.0));
        assert_eq!((d.node(f64::NAN), d.node(f64::INFINITY)), (d.node(0.0), d.node(999.0)));
    }
}
