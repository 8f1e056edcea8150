//! The two layers that learned parts are made of, and how they find their tensors.
//!
//! Every operation returns a new tensor: what trains these parts needs the old ones for the backward pass.

use std::collections::BTreeMap;

use tch::{TchError, Tensor};

/// Shapes by tensor name.
pub(super) type Shapes = BTreeMap<String, Vec<usize>>;

/// Epsilon of every LayerNorm here, as the backbone's.
pub(super) const NORM_EPS: f64 = 1e-6;

/// Tensors under one prefix, each already checked against its shape.
pub(super) struct Source<'a> {
    pub tensors: &'a BTreeMap<String, Tensor>,
    pub prefix: String,
}

impl Source<'_> {
    /// The tensor `prefix.name`, shared: a leaf stays that leaf.
    pub fn tensor(&self, name: &str) -> Result<Tensor, TchError> {
        let name = format!("{}.{name}", self.prefix);
        let found = self.tensors.get(&name).map(Tensor::shallow_clone);
        found.ok_or_else(|| TchError::FileFormat(format!("no tensor {name}")))
    }

    /// `prefix.name.weight` and `prefix.name.bias`.
    pub fn linear(&self, name: &str) -> Result<Linear, TchError> {
        Ok(Linear {
            weight: self.tensor(&format!("{name}.weight"))?,
            bias: self.tensor(&format!("{name}.bias"))?,
        })
    }
}

/// Adds `name.weight` `[rows, …columns]` and `name.bias` `[rows]`.
pub(super) fn linear_shapes(shapes: &mut Shapes, name: &str, rows: usize, columns: &[usize]) {
    shapes.insert(format!("{name}.weight"), [&[rows], columns].concat());
    shapes.insert(format!("{name}.bias"), vec![rows]);
}

/// A linear layer, or whatever else is a weight and a bias.
#[derive(Debug)]
pub(super) struct Linear {
    pub weight: Tensor, // [out, in]
    pub bias: Tensor,   // [out]
}

impl Linear {
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }

    pub fn share(&self) -> Self {
        Self { weight: self.weight.shallow_clone(), bias: self.bias.shallow_clone() }
    }
}

/// LayerNorm over the last dimension.
pub(super) fn layer_norm(x: &Tensor, affine: Option<&Linear>) -> Result<Tensor, TchError> {
    let width = x.size().last().copied().unwrap_or(0);
    x.f_layer_norm([width], affine.map(|a| &a.weight), affine.map(|a| &a.bias), NORM_EPS, true)
}
