//! DeeDiff's objective (Tang et al., arXiv 2309.17074): the network learns at all of its exits at once, and each exit
//! learns to tell how wrong it is.

use tch::{Kind, Tensor};

use super::losses::{by_token, estimate, estimator_loss, pseudo_label, ual_weights};
use super::recipe::{DeediffTerms, Tune};
use crate::backbone::{Backbone, Parameters};
use crate::learned::{LearnedExits, Pass, Target};
use crate::train::backbone::squared_errors;
use crate::train::examples::Examples;
use crate::train::network::Network;
use crate::train::objective::{Losses, Objective};
use crate::train::{Arithmetic, TrainError, Weighting};

pub(super) struct Deediff {
    pub network: Network,
    pub terms: DeediffTerms,
    pub tune: Tune,
    pub weighting: Weighting,
    pub arithmetic: Arithmetic,
}

impl Deediff {
    /// Runs the backbone; where it is frozen, no gradient is kept of that.
    fn pass<'a>(
        &self,
        backbone: &'a dyn Backbone,
        exits: &'a LearnedExits,
        examples: &Examples,
    ) -> Result<Pass<'a>, tch::TchError> {
        match self.tune {
            Tune::All => Pass::run(backbone, exits, &examples.input()),
            Tune::Exits => tch::no_grad(|| Pass::run(backbone, exits, &examples.input())),
        }
    }
}

impl Objective for Deediff {
    fn losses(&self, learned: &Parameters, examples: &Examples) -> Result<Losses, TrainError> {
        let terms = &self.terms;
        let (backbone, exits) = self.network.with_exits(learned, self.arithmetic.kind())?;
        let pass = self.pass(&*backbone, &exits, examples)?;
        let full = pass.full()?; // g_N
        let of_full = full.f_detach()?;
        let weights = examples.weights(self.weighting, &self.network.diffusion)?; // [b]
        let goal = |target: Target| match target {
            Target::Full => &of_full,
            _ => &examples.noise,
        };
        let mut parts = vec![];
        let simple = squared_errors(&full, &examples.noise)?;
        parts.push(("full".to_owned(), simple.f_mean(Kind::Float)?));
        let mut total = match self.tune {
            Tune::All => simple.f_mul(&weights)?.f_mean(Kind::Float)?,
            Tune::Exits => Tensor::f_zeros([], (Kind::Float, tch::Device::Cpu))?,
        };

        let points = examples.turn(pass.states.len(), terms.exits_per_step);
        let scale = pass.states.len() as f64 / points.len() as f64;
        let (mut estimates, mut errors, mut l_u) = (vec![], vec![], vec![]);
        for &p in &points {
            let (depth, hidden) = &pass.states[p];
            let output = pass.output(*depth, hidden)?;
            errors.push(squared_errors(&output, goal(terms.teacher))?); // [b]
            if let Some(estimator) = exits.estimator(*depth) {
                let error = by_token(&output.f_sub(goal(terms.target))?, exits.config().grid)?;
                let label = pseudo_label(&error, terms.estimator)?;
                let u = estimate(estimator, hidden, pass.temb())?;
                l_u.push(estimator_loss(&u, &label)?);
                estimates.push(u);
            }
        }
        let shares = ual_weights(&estimates, terms.estimator, terms.ual_grad)?;
        let l_u = sum(&l_u)?.f_mul_scalar(scale)?;
        let mut l_ual = vec![];
        for (error, share) in errors.iter().zip(&shares) {
            l_ual.push(error.f_mul(&weights)?.f_mul(share)?.f_mean(Kind::Float)?);
        }
        let l_ual = sum(&l_ual)?.f_mul_scalar(scale)?;
        total = total.f_add(&l_u.f_mul_scalar(terms.lambda)?)?.f_add(&l_ual.f_mul_scalar(terms.beta)?)?;
        parts.push(("estimator".to_owned(), l_u));
        parts.push(("exits".to_owned(), l_ual));
        Ok(Losses { total, parts })
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn share(&self) -> Box<dyn Objective> {
        Box::new(Self { network: self.network.share(), ..*self })
    }
}

/// The sum of scalars; zero of none.
fn sum(scalars: &[Tensor]) -> Result<Tensor, tch::TchError> {
    match scalars {
        [] => Tensor::f_zeros([], (Kind::Float, tch::Device::Cpu)),
        scalars => Tensor::f_stack(scalars, 0)?.f_sum(Kind::Float),
    }
}
