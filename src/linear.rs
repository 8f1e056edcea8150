//! A linear layer's two tensors, and what they are called in a file.

use std::collections::BTreeMap;

use tch::{TchError, Tensor};

/// Shapes by tensor name.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

/// Adds `name.weight` `[rows, …columns]` and `name.bias` `[rows]`.
pub(crate) fn linear_shapes(shapes: &mut Shapes, name: &str, rows: usize, columns: &[usize]) {
    shapes.insert(format!("{name}.weight"), [&[rows], columns].concat());
    shapes.insert(format!("{name}.bias"), vec![rows]);
}

/// A linear layer, or whatever else is a weight and a bias.
#[derive(Debug)]
pub(crate) struct Linear {
    pub weight: Tensor, // [out, in]
    pub bias: Tensor,   // [out]
}

impl Linear {
    /// x·Wᵀ + b over the last dimension.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }

    /// The same tensors again, without a copy.
    pub fn share(&self) -> Self {
        Self { weight: self.weight.shallow_clone(), bias: self.bias.shallow_clone() }
    }
}
