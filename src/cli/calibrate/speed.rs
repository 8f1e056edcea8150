//! Milliseconds an image: what an evaluation costs beside its blocks, and what its blocks cost.

use std::time::Instant;

use offramp::Request;
use offramp::exit::{Fixed, Full};

use super::setting::Ground;
use crate::cli::Failure;

/// An evaluation of an image that runs the share c of the block cost takes `beside + blocks·c` milliseconds of the
/// machine's time, at the throughput that the batch and threads give.
#[derive(Debug, Clone, Copy)]
pub struct Speed {
    pub beside: f64,
    pub blocks: f64,
}

/// Alternations; the median of each kind counts.
const ROUNDS: usize = 3;

impl Speed {
    /// Times full depth and the shallowest exit in turns.
    pub fn measure(ground: &Ground, steps: usize, request: &Request) -> Result<Self, Failure> {
        let model = &ground.model;
        let Some(first) = model.backbone.exit_points().first() else {
            return Ok(Self { beside: 0.0, blocks: 0.0 });
        };
        let full = ground.sampler(steps)?.with_exit(Full);
        let shallow = ground.sampler(steps)?.with_exit(Fixed { depth: first.depth });
        let mut times = [vec![], vec![]];
        for _ in 0..ROUNDS {
            for (sampler, times) in [&full, &shallow].into_iter().zip(&mut times) {
                let start = Instant::now();
                sampler.run(request, &mut ())?;
                let evaluations = (request.len() * sampler.evaluations(request)?.len()) as f64;
                times.push(1e3 * start.elapsed().as_secs_f64() / evaluations);
            }
        }
        let [full, shallow] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2]
        });
        let blocks = (full - shallow) / (1.0 - first.cost);
        Ok(Self { beside: full - blocks, blocks })
    }

    /// The share of block cost at which an image of so many evaluations takes `milliseconds`; below 0 where it cannot.
    pub fn share(&self, milliseconds: f64, evaluations: usize) -> f64 {
        (milliseconds / evaluations as f64 - self.beside) / self.blocks
    }

    /// Milliseconds of an image.
    pub fn milliseconds(&self, share: f64, evaluations: usize) -> f64 {
        evaluations as f64 * (self.beside + self.blocks * share)
    }
}
