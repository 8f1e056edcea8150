//! A gate: says of each image whether to leave (JEI-DNN, ECO-M2F, PALBERT).
//!
//! Tokens are normed and averaged, the timestep embedding is put beside them, and two layers make one logit of
//! it. Its sigmoid is the probability of leaving here, given that the image came so far.

use tch::{Kind, TchError, Tensor};

use super::config::LearnedConfig;
use super::layers::{Source, layer_norm};
use crate::linear::{Linear, Shapes, linear_shapes};

/// One exit's gate.
#[derive(Debug)]
pub struct Gate {
    fc1: Linear, // weight [hidden, 2D]
    fc2: Linear, // weight [1, hidden]
}

impl Gate {
    pub(super) fn shapes(config: &LearnedConfig, prefix: &str, shapes: &mut Shapes) {
        let Some(gate) = config.gate else { return };
        linear_shapes(shapes, &format!("{prefix}.fc1"), gate.hidden, &[2 * config.width]);
        linear_shapes(shapes, &format!("{prefix}.fc2"), 1, &[gate.hidden]);
    }

    pub(super) fn assemble(config: &LearnedConfig, source: &Source) -> Result<Option<Self>, TchError> {
        match config.gate {
            None => Ok(None),
            Some(_) => Ok(Some(Self { fc1: source.linear("fc1")?, fc2: source.linear("fc2")? })),
        }
    }

    /// The same gate for another thread.
    pub(super) fn share(&self) -> Self {
        Self { fc1: self.fc1.share(), fc2: self.fc2.share() }
    }

    /// Its logit for every row, f32 `[R]`, of L_i `[R, T, D]` and the timestep embedding `[R, D]`, both of the
    /// weights' dtype.
    ///
    /// # Errors
    /// They are of another shape or dtype.
    pub fn logit(&self, hidden: &Tensor, temb: &Tensor) -> Result<Tensor, TchError> {
        self.of_features(&Self::features(hidden, temb)?)
    }

    /// All that a gate sees of a state: the mean of its normed tokens, and the timestep embedding, `[R, 2D]`.
    ///
    /// # Errors
    /// They are of other shapes.
    pub fn features(hidden: &Tensor, temb: &Tensor) -> Result<Tensor, TchError> {
        let pooled = layer_norm(hidden, None)?.f_mean_dim(1, false, None::<Kind>)?; // [R, D]
        Tensor::f_cat(&[&pooled, temb], 1)
    }

    /// The logit of [`Gate::features`], f32 `[R]`.
    ///
    /// # Errors
    /// They are of another shape or dtype.
    pub fn of_features(&self, features: &Tensor) -> Result<Tensor, TchError> {
        let x = self.fc2.forward(&self.fc1.forward(features)?.f_silu()?)?; // [R, 1]
        x.f_squeeze_dim(1)?.f_to_kind(Kind::Float)
    }
}
