//! An estimator of the error that leaving would make, read off the hidden state (DeeDiff/AdaDiff, Tang et al.,
//! arXiv 2309.17074).
//!
//! `paper`: the uncertainty estimation module, `u = σ(w·[L_i ; temb] + b)` for every token, a number that stands
//! for tanh|error|. `released`: the published code's, `c = σ(W·L_i + b)` for every number of a token's patch,
//! without the time, that stands for 1 − tanh|error|. An image's number is the mean of all its own. Both read
//! L_i as it is, without a norm.

use tch::{Kind, TchError, Tensor};

use super::config::{EstimatorConfig, EstimatorKind, LearnedConfig, Quantity};
use super::layers::Source;
use crate::linear::{Linear, Shapes, linear_shapes};

/// One exit's estimator.
#[derive(Debug)]
pub struct Estimator {
    config: EstimatorConfig,
    layer: Linear, // weight [1, 2D] or [p²·C, D]
}

impl Estimator {
    pub(super) fn shapes(config: &LearnedConfig, prefix: &str, shapes: &mut Shapes) {
        match config.estimator.map(|e| e.kind) {
            None => {}
            Some(EstimatorKind::Paper) => linear_shapes(shapes, prefix, 1, &[2 * config.width]),
            Some(EstimatorKind::Released) => {
                linear_shapes(shapes, prefix, config.patch_outputs, &[config.width]);
            }
        }
    }

    pub(super) fn assemble(config: &LearnedConfig, source: &Source) -> Result<Option<Self>, TchError> {
        let Some(config) = config.estimator else { return Ok(None) };
        let layer = Linear { weight: source.tensor("weight")?, bias: source.tensor("bias")? };
        Ok(Some(Self { config, layer }))
    }

    /// The same estimator for another thread.
    pub(super) fn share(&self) -> Self {
        Self { config: self.config, layer: self.layer.share() }
    }

    /// What it is.
    pub fn config(&self) -> EstimatorConfig {
        self.config
    }

    /// Its number for every token, in (0, 1), f32: `[R, T, 1]` from the paper's, `[R, T, p²·C]` from the
    /// released one.
    ///
    /// `hidden` is L_i, `[R, T, D]`, and `temb` the timestep embedding, `[R, D]`, which the released one does
    /// not look at; both are of the weights' dtype.
    ///
    /// # Errors
    /// They are of another shape or dtype.
    pub fn per_token(&self, hidden: &Tensor, temb: &Tensor) -> Result<Tensor, TchError> {
        match self.config.kind {
            EstimatorKind::Paper => {
                // [L_i ; temb] is never put together: one pass over L_i, and one number a row for the time.
                let d = hidden.size3()?.2;
                let weight = self.layer.weight.f_select(0, 0)?; // [2D]
                let of_tokens = hidden.f_matmul(&weight.f_narrow(0, 0, d)?)?; // [R, T]
                let of_time = temb.f_matmul(&weight.f_narrow(0, d, d)?)?; // [R]
                let of_time = of_time.f_to_kind(Kind::Float)?.f_add(&self.layer.bias)?;
                let logits = of_tokens.f_to_kind(Kind::Float)?.f_add(&of_time.f_unsqueeze(1)?)?;
                logits.f_sigmoid()?.f_unsqueeze(-1) // [R, T, 1]
            }
            EstimatorKind::Released => {
                self.layer.forward(hidden)?.f_to_kind(Kind::Float)?.f_sigmoid() // [R, T, p²·C]
            }
        }
    }

    /// Its number for every row, the mean over [`Estimator::per_token`], f32 `[R]`.
    ///
    /// # Errors
    /// As [`Estimator::per_token`].
    pub fn per_image(&self, hidden: &Tensor, temb: &Tensor) -> Result<Tensor, TchError> {
        self.per_token(hidden, temb)?.f_mean_dim(&[1i64, 2][..], false, Kind::Float)
    }

    /// Whether its number is one to leave below, or above.
    pub fn quantity(&self) -> Quantity {
        self.config.quantity
    }
}
