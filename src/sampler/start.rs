//! Where a trajectory starts: noise from the image's seed, given noise, or a noised image.

use tch::{Device, TchError, Tensor};

use super::request::Request;
use crate::noise::{self, Draw};
use crate::solver::Node;

/// What first x of every image is made of; each worker holds its own.
pub(crate) struct Start {
    noise: Option<Tensor>, // [n, C, H, W]
    x0: Option<Tensor>,    // [C, H, W]
    node: Node,
    chw: [i64; 3],
    device: Device,
}

impl Start {
    pub fn new(request: &Request, node: Node, chw: [i64; 3], device: Device) -> Result<Self, TchError> {
        Ok(Self {
            noise: request.initial_noise.as_ref().map(|n| n.f_to_device(device)).transpose()?,
            x0: request.init.as_ref().map(|i| i.x0.f_to_device(device)).transpose()?,
            node,
            chw,
            device,
        })
    }

    /// x at the first evaluation, f32 `[C, H, W]`: noise of unit variance, or α·x0 + σ·noise.
    pub fn x(&self, image: usize, seed: u64) -> Result<Tensor, TchError> {
        let noise = match &self.noise {
            Some(noise) => noise.f_get(image as i64)?,
            None => noise::standard_normal(seed, Draw::Initial, self.chw)?.f_to_device(self.device)?,
        };
        match &self.x0 {
            Some(x0) => x0.f_mul_scalar(self.node.alpha)?.f_add(&noise.f_mul_scalar(self.node.sigma)?),
            None => Ok(noise),
        }
    }
}
