//! Gates and heads learned together (JEI-DNN, Regol et al. 2024, arXiv 2310.09163), over a backbone that stays as it is.
//!
//! In every step each image's errors at all exits make a table. Heads learn from the images that would leave there,
//! by the gates' own probabilities; gates learn which exit costs least.

use tch::{Kind, Tensor};

use super::error_table::{ErrorTable, gate_loss, leaving};
use crate::backbone::{Backbone, Parameters};
use crate::learned::{Gate, HeadKind, LearnedExits, Pass};
use crate::train::backbone::squared_errors;
use crate::train::examples::Examples;
use crate::train::network::Network;
use crate::train::objective::{Losses, Objective};
use crate::train::{Arithmetic, TrainError, Weighting};

pub(super) struct JointGates {
    pub network: Network,
    /// λ: the price of a whole network.
    pub price: f64,
    pub weighting: Weighting,
    pub arithmetic: Arithmetic,
}

/// Errors of all exits, and gates' logits.
pub(super) struct Judged {
    /// Mean squared difference of g_i from g_N, `[b]` an exit, which carries heads' gradients.
    pub errors: Vec<Tensor>,
    /// `[b, P]`, which carries the gates'.
    pub logits: Tensor,
    /// The errors as a table, detached, weighted.
    pub table: ErrorTable,
    /// What gates see, detached, `[b, P, 2D]`.
    pub features: Tensor,
    /// λ(t), `[b]`.
    pub weights: Tensor,
}

/// Runs the network without gradients, its heads and gates with them.
pub(super) fn judge(
    backbone: &dyn Backbone,
    exits: &LearnedExits,
    examples: &Examples,
    weights: Tensor,
) -> Result<Judged, TrainError> {
    let pass = tch::no_grad(|| Pass::run(backbone, exits, &examples.input()))?;
    let full = tch::no_grad(|| pass.full())?;
    let (mut errors, mut logits, mut rows, mut costs, mut features) =
        (vec![], vec![], vec![], vec![], vec![]);
    for (depth, hidden) in &pass.states {
        let error = squared_errors(&pass.output(*depth, hidden)?, &full)?;
        rows.push(error.f_detach()?.f_mul(&weights)?);
        errors.push(error);
        let seen = Gate::features(hidden, pass.temb())?;
        if let Some(gate) = exits.gate(*depth) {
            logits.push(gate.of_features(&seen)?);
        }
        features.push(seen);
        costs.push(backbone.cost(*depth));
    }
    rows.push(weights.f_zeros_like()?);
    costs.push(1.0);
    let table = ErrorTable { errors: Tensor::f_stack(&rows, 1)?, costs };
    let (logits, features) = (Tensor::f_stack(&logits, 1)?, Tensor::f_stack(&features, 1)?);
    Ok(Judged { errors, logits, table, features, weights })
}

impl Objective for JointGates {
    fn losses(&self, learned: &Parameters, examples: &Examples) -> Result<Losses, TrainError> {
        let (backbone, exits) = self.network.with_exits(learned, self.arithmetic.kind())?;
        let weights = examples.weights(self.weighting, &self.network.diffusion)?;
        let judged = judge(&*backbone, &exits, examples, weights)?;
        let gates = gate_loss(&judged.logits, &judged.table.labels(self.price)?)?;
        let mut parts = vec![("gates".to_owned(), gates.shallow_clone())];
        let mut total = gates;
        if exits.config().heads != HeadKind::Shared {
            let shares = leaving(&judged.logits)?.f_detach()?; // [b, P + 1]
            let mut heads = Tensor::f_zeros([], (Kind::Float, tch::Device::Cpu))?;
            for (i, error) in judged.errors.iter().enumerate() {
                let share = shares.f_select(1, i as i64)?.f_mul(&judged.weights)?;
                heads = heads.f_add(&error.f_mul(&share)?.f_mean(Kind::Float)?)?;
            }
            total = total.f_add(&heads)?;
            parts.push(("heads".to_owned(), heads));
        }
        let depth = judged.table.targets(self.price)?.f_to_kind(Kind::Float)?.f_mean(Kind::Float)?;
        parts.push(("target_exit".to_owned(), depth));
        Ok(Losses { total, parts })
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn share(&self) -> Box<dyn Objective> {
        Box::new(Self { network: self.network.share(), ..*self })
    }
}
