//! AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101): Adam with weight decay that bypasses the moments.
//!
//! libtorch's own optimisers do not let their moments out, so a run with them cannot be resumed.

use tch::{TchError, Tensor};

/// AdamW over a list of tensors.
#[derive(Debug)]
pub struct AdamW {
    /// β₁, β₂: how long the mean and the mean square of the gradients are remembered.
    pub betas: [f64; 2],
    /// ε beside the root of the mean square.
    pub eps: f64,
    /// λ: each step shrinks the parameters by rate·λ.
    pub weight_decay: f64,
    steps: usize,
    means: Vec<Tensor>,
    squares: Vec<Tensor>,
}

impl AdamW {
    /// An optimiser of these parameters that has not made a step; ε = 1e-8.
    ///
    /// # Errors
    /// libtorch has no memory left.
    pub fn new(parameters: &[Tensor], betas: [f64; 2], weight_decay: f64) -> Result<Self, TchError> {
        let zeros = || -> Result<Vec<Tensor>, TchError> {
            parameters.iter().map(|p| p.f_detach()?.f_zeros_like()).collect()
        };
        Ok(Self { betas, eps: 1e-8, weight_decay, steps: 0, means: zeros()?, squares: zeros()? })
    }

    /// One step of all parameters, in place, in the order in which they were first given.
    ///
    /// # Errors
    /// A gradient has another shape than its parameter.
    pub fn step(&mut self, parameters: &[Tensor], gradients: &[Tensor], rate: f64) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        self.steps += 1;
        let [beta1, beta2] = self.betas;
        let steps = self.steps as f64;
        let (unbias1, unbias2) = (1.0 - beta1.powf(steps), 1.0 - beta2.powf(steps));
        let moments = self.means.iter_mut().zip(&mut self.squares);
        for ((parameter, gradient), (m, v)) in parameters.iter().zip(gradients).zip(moments) {
            let _ = m.f_lerp_(gradient, 1.0 - beta1)?;
            let _ = v.f_mul_scalar_(beta2)?.f_add_(&gradient.f_square()?.f_mul_scalar(1.0 - beta2)?)?;
            let root = v.f_sqrt()?.f_div_scalar_(unbias2.sqrt())?.f_add_scalar_(self.eps)?;
            let change = m.f_div(&root)?.f_mul_scalar_(rate / unbias1)?;
            let mut parameter = parameter.shallow_clone();
            let _ = parameter.f_mul_scalar_(1.0 - rate * self.weight_decay)?.f_sub_(&change)?;
        }
        Ok(())
    }

    /// The moments, to be saved and filled in again, and the number of steps made.
    pub fn moments(&self) -> ([&[Tensor]; 2], usize) {
        ([&self.means, &self.squares], self.steps)
    }

    /// Says how many steps the moments that were filled in come from.
    pub fn set_steps(&mut self, steps: usize) {
        self.steps = steps;
    }
}
