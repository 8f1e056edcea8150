//! A convolution with the batch norm behind it: apart to train, folded into one to run.

use std::collections::BTreeMap;

use tch::{TchError, Tensor};

/// Scale, shift and running statistics of a batch norm, `[out]` each.
pub(super) struct BatchNorm {
    pub weight: Tensor,
    pub bias: Tensor,
    pub mean: Tensor,
    pub var: Tensor,
    pub eps: f64,
}

impl BatchNorm {
    /// Share of the newest batch in the running statistics.
    const MOMENTUM: f64 = 0.1;

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, TchError> {
        x.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.mean),
            Some(&self.var),
            train,
            Self::MOMENTUM,
            self.eps,
            false,
        )
    }
}

/// A 2-D convolution whose kernel is `[out, in / groups, kh, kw]`.
pub(super) struct Convolution {
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    pub norm: Option<BatchNorm>,
    pub stride: i64,
    pub padding: [i64; 2],
    pub groups: i64,
}

impl Convolution {
    /// The convolution, then the norm where it is not folded in; `train` takes the batch's own statistics and
    /// updates the running ones.
    pub fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, TchError> {
        let stride = [self.stride; 2];
        let y = x.f_conv2d(&self.weight, self.bias.as_ref(), stride, self.padding, [1, 1], self.groups)?;
        match &self.norm {
            Some(norm) => norm.forward(&y, train),
            None => Ok(y),
        }
    }

    /// The same function in one operation: w·γ/√(σ² + ε), and β − μ·γ/√(σ² + ε) as bias.
    pub fn fold(self) -> Result<Self, TchError> {
        let Some(norm) = &self.norm else { return Ok(self) };
        let scale = norm.weight.f_div(&norm.var.f_add_scalar(norm.eps)?.f_sqrt()?)?; // [out]
        let weight = self.weight.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
        let mean = match &self.bias {
            Some(bias) => norm.mean.f_sub(bias)?,
            None => norm.mean.shallow_clone(),
        };
        let bias = norm.bias.f_sub(&mean.f_mul(&scale)?)?;
        Ok(Self { weight, bias: Some(bias), norm: None, ..self })
    }

    /// The same convolution for another thread; nothing is copied.
    pub fn share(&self) -> Self {
        let norm = self.norm.as_ref().map(|n| BatchNorm {
            weight: n.weight.shallow_clone(),
            bias: n.bias.shallow_clone(),
            mean: n.mean.shallow_clone(),
            var: n.var.shallow_clone(),
            ..*n
        });
        let bias = self.bias.as_ref().map(Tensor::shallow_clone);
        Self { weight: self.weight.shallow_clone(), bias, norm, ..*self }
    }
}

/// Takes a tensor that has been checked to be there.
pub(super) fn take(by_key: &mut BTreeMap<String, Tensor>, key: &str) -> Result<Tensor, TchError> {
    by_key.remove(key).ok_or_else(|| TchError::FileFormat(format!("tensor {key} was read twice")))
}
