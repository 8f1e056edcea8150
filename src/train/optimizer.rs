//! AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101): Adam with weight decay that bypasses the moments.
//!
//! libtorch's own optimisers do not let their moments out, so a run with them cannot be resumed.

use tch::{Device, Kind, TchError, Tensor};

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
        self.step_in_threads(parameters, gradients, rate, 1)
    }

    /// [`AdamW::step`] on several threads; the result is the same.
    ///
    /// Contiguous f32 tensors on the CPU are read and written once, where a chain of libtorch's ops would go
    /// through memory a dozen times; others take the chain.
    ///
    /// # Errors
    /// A gradient has another shape than its parameter.
    pub fn step_in_threads(
        &mut self,
        parameters: &[Tensor],
        gradients: &[Tensor],
        rate: f64,
        threads: usize,
    ) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        self.steps += 1;
        let steps = self.steps as f64;
        let [beta1, beta2] = self.betas;
        let unbias = [1.0 - beta1.powf(steps), 1.0 - beta2.powf(steps)];
        let update = Update {
            keep_square: self.betas[1] as f32,
            // Not 1 − β in f32, which is off by 1e-5 of itself.
            takes: self.betas.map(|b| (1.0 - b) as f32),
            change: (rate / unbias[0]) as f32,
            root: unbias[1].sqrt() as f32,
            eps: self.eps as f32,
            keep: (1.0 - rate * self.weight_decay) as f32,
        };
        let mut pieces = vec![];
        for (((parameter, gradient), m), v) in
            parameters.iter().zip(gradients).zip(&self.means).zip(&self.squares)
        {
            if parameter.size() != gradient.size() || parameter.size() != m.size() {
                let (p, g) = (parameter.size(), gradient.size());
                return Err(TchError::Shape(format!("a parameter of {p:?} with a gradient of {g:?}")));
            }
            let gradient = gradient.f_contiguous()?;
            let plain = [parameter, &gradient, m, v].into_iter().all(in_memory);
            match plain {
                true => {
                    pieces.push([parameter.shallow_clone(), gradient, m.shallow_clone(), v.shallow_clone()])
                }
                false => self.by_ops(parameter, &gradient, [m, v], rate, unbias)?,
            }
        }
        update.apply(&pieces, threads);
        Ok(())
    }

    fn by_ops(
        &self,
        parameter: &Tensor,
        gradient: &Tensor,
        [m, v]: [&Tensor; 2],
        rate: f64,
        unbias: [f64; 2],
    ) -> Result<(), TchError> {
        let [beta1, beta2] = self.betas;
        let (mut parameter, mut m, mut v) = (parameter.shallow_clone(), m.shallow_clone(), v.shallow_clone());
        let _ = m.f_lerp_(gradient, 1.0 - beta1)?;
        let _ = v.f_mul_scalar_(beta2)?.f_add_(&gradient.f_square()?.f_mul_scalar(1.0 - beta2)?)?;
        let root = v.f_sqrt()?.f_div_scalar_(unbias[1].sqrt())?.f_add_scalar_(self.eps)?;
        let change = m.f_div(&root)?.f_mul_scalar_(rate / unbias[0])?;
        let _ = parameter.f_mul_scalar_(1.0 - rate * self.weight_decay)?.f_sub_(&change)?;
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

/// Numbers that a thread takes at a time.
const PIECE: usize = 1 << 16;

/// One step's constants.
#[derive(Clone, Copy)]
struct Update {
    /// β₂.
    keep_square: f32,
    /// 1 − β₁, 1 − β₂.
    takes: [f32; 2],
    /// rate / (1 − β₁ᵏ).
    change: f32,
    /// √(1 − β₂ᵏ).
    root: f32,
    eps: f32,
    /// 1 − rate·λ.
    keep: f32,
}

/// Parameter, gradient, mean, square: the same part of each.
type Piece<'a> = (&'a mut [f32], &'a [f32], &'a mut [f32], &'a mut [f32]);

impl Update {
    fn apply(self, tensors: &[[Tensor; 4]], threads: usize) {
        let mut pieces: Vec<Piece> = vec![];
        for [p, g, m, v] in tensors {
            let n = p.numel();
            // SAFETY: `in_memory` holds for all four, they have n elements each, belong to different tensors, and
            // nothing else touches them until this function returns.
            let [p, m, v] =
                [p, m, v].map(|t| unsafe { std::slice::from_raw_parts_mut(t.data_ptr().cast::<f32>(), n) });
            // SAFETY: as above.
            let g = unsafe { std::slice::from_raw_parts(g.data_ptr().cast::<f32>(), n) };
            let parts =
                p.chunks_mut(PIECE).zip(g.chunks(PIECE)).zip(m.chunks_mut(PIECE)).zip(v.chunks_mut(PIECE));
            pieces.extend(parts.map(|(((p, g), m), v)| (p, g, m, v)));
        }
        let per_thread = pieces.len().div_ceil(threads.max(1)).max(1);
        std::thread::scope(|scope| {
            let mut parts = pieces.chunks_mut(per_thread);
            let own = parts.next();
            for part in parts {
                scope.spawn(move || part.iter_mut().for_each(|piece| self.on(piece)));
            }
            own.into_iter().flatten().for_each(|piece| self.on(piece));
        });
    }

    fn on(self, (p, g, m, v): &mut Piece) {
        for (((p, &g), m), v) in p.iter_mut().zip(g.iter()).zip(m.iter_mut()).zip(v.iter_mut()) {
            *m += self.takes[0] * (g - *m);
            *v = self.keep_square * *v + self.takes[1] * (g * g);
            *p = self.keep * *p - self.change * (*m / (v.sqrt() / self.root + self.eps));
        }
    }
}

/// Whether a tensor is a plain array of f32 here.
fn in_memory(tensor: &Tensor) -> bool {
    tensor.device() == Device::Cpu
        && tensor.kind() == Kind::Float
        && tensor.is_contiguous()
        && tensor.numel() > 0
}
