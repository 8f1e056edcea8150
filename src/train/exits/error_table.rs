//! The table of per-exit errors from which gates learn.
//!
//! For each image (at a time) it has the error of leaving at each exit, the full depth last. An image's target is
//! the exit that costs least, `argmin_l(q_l + λ·c_l)` (JEI-DNN, Regol et al. 2024, arXiv 2310.09163); with qualities
//! −q and costs that grow evenly it is the same as ECO-M2F's `argmax_k(q_k − β·k)` (Yao et al. 2024). A gate's label
//! is cumulative: to leave at the target and at every exit behind it.

use tch::{Kind, Reduction, TchError, Tensor};

/// Errors and costs.
#[derive(Debug)]
pub(super) struct ErrorTable {
    /// q, f32 `[M, P + 1]`: by image and exit, the full depth last.
    pub errors: Tensor,
    /// c, by exit as a share of the whole network's blocks; the last is 1.
    pub costs: Vec<f64>,
}

impl ErrorTable {
    /// The index of each image's cheapest exit at the price λ of a whole network, i64 `[M]`; the first of equals.
    pub fn targets(&self, price: f64) -> Result<Tensor, TchError> {
        let costs: Vec<f32> = self.costs.iter().map(|c| (price * c) as f32).collect();
        self.errors.f_add(&Tensor::f_from_slice(&costs)?)?.f_argmin(1, false)
    }

    /// What gates are to say, f32 `[M, P]`: 1 where the exit is the target or behind it.
    pub fn labels(&self, price: f64) -> Result<Tensor, TchError> {
        let exits = Tensor::f_arange(self.costs.len() as i64 - 1, (Kind::Int64, tch::Device::Cpu))?;
        exits.f_ge_tensor(&self.targets(price)?.f_unsqueeze(1)?)?.f_to_kind(Kind::Float)
    }
}

/// The mean over images and exits of the cross-entropy between gates' logits `[M, P]` and labels `[M, P]`.
pub(super) fn gate_loss(logits: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
    logits.f_binary_cross_entropy_with_logits::<Tensor>(labels, None, None, Reduction::Mean)
}

/// The probability of leaving at each exit, the full depth last, from gates' logits: `[M, P + 1]`, each row sums
/// to 1.
pub(super) fn leaving(logits: &Tensor) -> Result<Tensor, TchError> {
    let (m, _) = logits.size2()?;
    let gates = logits.f_sigmoid()?;
    let stays = gates.f_neg()?.f_add_scalar(1.0)?.f_cumprod(1, Kind::Float)?; // after each exit
    let ones = Tensor::f_ones([m, 1], (Kind::Float, tch::Device::Cpu))?;
    let before = Tensor::f_cat(&[&ones, &stays], 1)?; // [M, P + 1]: still there before each exit
    let last = Tensor::f_cat(&[&gates, &ones], 1)?;
    before.f_mul(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_cheapest_exits_and_labels_cumulative() {
        let errors = Tensor::from_slice(&[0.5f32, 0.2, 0.1, 0.4, 0.4, 0.4]).view([2, 3]);
        let table = ErrorTable { errors, costs: vec![0.25, 0.5, 1.0] };
        let targets = |price| Vec::<i64>::try_from(table.targets(price).unwrap()).unwrap();
        assert_eq!(targets(0.0), [2, 0]);
        assert_eq!(targets(0.3), [1, 0]);
        assert_eq!(targets(10.0), [0, 0]);
        let labels = Vec::<f32>::try_from(table.labels(0.3).unwrap().view(-1)).unwrap();
        assert_eq!(labels, [0.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn somebody_leaves_somewhere() {
        let logits = Tensor::from_slice(&[0.3f32, -2.0, 4.0, 0.0, 30.0, -30.0]).view([2, 3]);
        let leaving = leaving(&logits).unwrap();
        let sums = Vec::<f32>::try_from(leaving.sum_dim_intlist(1, false, Kind::Float)).unwrap();
        assert!(sums.iter().all(|s| (s - 1.0).abs() < 1e-6), "{sums:?}");
        assert!((leaving.double_value(&[1, 1]) - 0.5).abs() < 1e-6, "half are left, and all of them go");
    }
}
