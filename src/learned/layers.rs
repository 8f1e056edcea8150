//! LayerNorm, and how learned parts find their tensors.
//!
//! Every operation returns a new tensor: what trains these parts needs the old ones for the backward pass.

use std::collections::BTreeMap;

use tch::{TchError, Tensor};

use crate::backbone::NORM_EPS;
use crate::linear::Linear;

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

/// LayerNorm over the last dimension.
pub(super) fn layer_norm(x: &Tensor, affine: Option<&Linear>) -> Result<Tensor, TchError> {
    let width = x.size().last().copied().unwrap_or(0);
    x.f_layer_norm([width], affine.map(|a| &a.weight), affine.map(|a| &a.bias), NORM_EPS, true)
}
