//! What a step learns from: images, each with a time, noise and a label.
//!
//! Everything that is drawn for the image at a place of a batch follows from the run's seed, the step and the
//! place: a ChaCha8 stream of its own. So a resumed run sees what an unbroken one would have seen, on any number
//! of threads.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use tch::{TchError, Tensor};

use super::network::Network;
use super::{Recipe, Weighting};
use crate::backbone::Input;
use crate::data::TrainingSet;
use crate::solver::Diffusion;

/// How examples are drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawing<'a> {
    pub diffusion: &'a Diffusion,
    pub seed: u64,
    /// Share of the labels that are replaced by the null class.
    pub label_dropout: f64,
    pub null_class: Option<i64>,
    /// The pixel values that black and white stand for.
    pub value_range: [f64; 2],
}

/// One shard of a step's batch, by increasing time.
#[derive(Debug)]
pub(super) struct Examples {
    /// x_t, f32 `[b, C, H, W]`.
    pub x: Tensor,
    /// ε, f32 `[b, C, H, W]`.
    pub noise: Tensor,
    /// Times, f32 `[b]`.
    pub t: Tensor,
    /// Classes, i64 `[b]`.
    pub class: Tensor,
    /// The times again.
    pub times: Vec<f64>,
    /// The step that they are for, from 0.
    pub step: usize,
}

impl<'a> Drawing<'a> {
    /// As a run's recipe says, for its network.
    pub fn of(recipe: &Recipe, network: &'a Network) -> Self {
        Self {
            diffusion: &network.diffusion,
            seed: recipe.seed,
            label_dropout: recipe.label_dropout,
            null_class: network.config.null_class,
            value_range: network.config.value_range,
        }
    }

    /// The examples of shard `shard` of `shards`: of the batch's images, every `shards`-th.
    ///
    /// Times are stratified: of a batch of B, one falls into each B-th of `[0, T)`, which makes the loss less
    /// noisy than independent times do (Kingma et al. 2021, arXiv 2107.00630, §I).
    pub fn shard(
        &self,
        data: &TrainingSet,
        batch: &[usize],
        step: usize,
        [shard, shards]: [usize; 2],
    ) -> Result<Examples, TchError> {
        let timesteps = self.diffusion.timesteps();
        let size: usize = data.shape.iter().product();
        let places: Vec<usize> = (shard..batch.len()).step_by(shards).collect();
        let mut x = Vec::with_capacity(places.len() * size);
        let mut noise = Vec::with_capacity(places.len() * size);
        let (mut times, mut classes) = (vec![], vec![]);
        let [lo, hi] = self.value_range.map(|v| v as f32);
        for place in places {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            // Streams of their own, far from those of the order.
            rng.set_stream((1 << 62) | (step * batch.len() + place) as u64);
            let u: f64 = rng.random();
            let t =
                ((timesteps as f64 * (place as f64 + u) / batch.len() as f64) as usize).min(timesteps - 1);
            let dropped = rng.random::<f64>() < self.label_dropout;
            let label = data.labels[batch[place]];
            classes.push(if dropped { self.null_class.unwrap_or(label) } else { label });
            let node = self.diffusion.node(t as f64);
            let (alpha, sigma) = (node.alpha as f32, node.sigma as f32);
            for &pixel in data.image(batch[place]) {
                let epsilon: f32 = StandardNormal.sample(&mut rng);
                let x0 = lo + (hi - lo) * f32::from(pixel) / 255.0;
                x.push(alpha * x0 + sigma * epsilon);
                noise.push(epsilon);
            }
            times.push(t as f64);
        }
        let [c, h, w] = data.shape.map(|n| n as i64);
        let shape = [times.len() as i64, c, h, w];
        Ok(Examples {
            x: Tensor::f_from_slice(&x)?.f_view(shape)?,
            noise: Tensor::f_from_slice(&noise)?.f_view(shape)?,
            t: Tensor::f_from_slice(&times)?.f_to_kind(tch::Kind::Float)?,
            class: Tensor::f_from_slice(&classes)?,
            times,
            step,
        })
    }
}

impl Examples {
    /// How many.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// What a backbone is given.
    pub fn input(&self) -> Input<'_> {
        Input { x: &self.x, t: &self.t, class: &self.class }
    }

    /// λ(t) of each, f32 `[b]`.
    pub fn weights(&self, weighting: Weighting, diffusion: &Diffusion) -> Result<Tensor, TchError> {
        let weights: Vec<f32> = self.times.iter().map(|&t| weighting.at(t, diffusion) as f32).collect();
        Tensor::f_from_slice(&weights)
    }

    /// Images `from` … `from + count` − 1, without a copy.
    pub fn narrow(&self, from: usize, count: usize) -> Result<Self, TchError> {
        let part = |tensor: &Tensor| tensor.f_narrow(0, from as i64, count as i64);
        Ok(Self {
            x: part(&self.x)?,
            noise: part(&self.noise)?,
            t: part(&self.t)?,
            class: part(&self.class)?,
            times: self.times[from..from + count].to_vec(),
            step: self.step,
        })
    }

    /// Of `among` things, `count` whose turn it is: over the steps each comes as often as any other.
    pub fn turn(&self, among: usize, count: usize) -> Vec<usize> {
        let mut chosen: Vec<usize> = (0..count).map(|k| (self.step + k * among / count) % among).collect();
        chosen.sort_unstable();
        chosen
    }
}
