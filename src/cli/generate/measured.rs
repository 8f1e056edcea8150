//! `--measure`: the first images once more, at full depth and as asked in turns. Blocks that were not run predict a
//! speed-up; this measures it, on the same images and in the same process, and says how far the images are from those of
//! full depth.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ndarray::ArrayView3;
use offramp::evaluate::{EvaluateError, MetricError, PairedImages};
use offramp::output::Pixels;
use offramp::{Event, Outcome, Request, Sampler};
use serde::Serialize;

use super::Run;
use crate::cli::Failure;
use crate::cli::interrupt::Interrupt;
use crate::cli::progress::Progress;

/// At least so many rounds, and so long.
const LEAST_ROUNDS: usize = 3;
const LEAST_TIME: Duration = Duration::from_secs(2);
/// Enough, however short they are.
const MOST_ROUNDS: usize = 200;

/// The exit beside full depth.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Images drawn, from the first.
    pub images: usize,
    /// Timed rounds.
    pub rounds: usize,
    /// The time at full depth over the exit's: median over rounds.
    pub speedup: f64,
    /// The least of a round.
    pub least: f64,
    /// The most.
    pub most: f64,
    /// The cost of full depth over the exit's, for these images.
    pub predicted_speedup: f64,
    /// The share of the predicted speed-up that was measured.
    pub r: f64,
    /// Root mean square error of these images against full depth's, x in [−1, 1], after rounding to 8 bits.
    pub rmse: f64,
}

impl Run {
    /// Measures the run's exit against full depth, on as many of its first images as keep every worker busy.
    pub fn measure(&self, interrupt: &Interrupt) -> Result<Measured, Failure> {
        let layout = self.sampler.layout(self.request.len());
        let request = first(&self.request, layout.batch.saturating_mul(layout.workers))?;
        let full = self.at_full_depth(layout.batch);
        let draw = |sampler| self.timed(sampler, &request, interrupt);
        let quiet = self.args.quiet || self.args.json;
        let mut progress = Progress::of(1 + LEAST_ROUNDS as u64, "rounds beside full depth", quiet);

        // The first round warms up, and its images are compared.
        let (deep, _) = draw(&full)?;
        let (early, _) = draw(&self.sampler)?;
        let (start, mut speedups) = (Instant::now(), vec![]);
        while speedups.len() < LEAST_ROUNDS || (start.elapsed() < LEAST_TIME && speedups.len() < MOST_ROUNDS)
        {
            progress.tick();
            // Who goes first alternates, so that drift falls on both alike.
            let pair = if speedups.len() % 2 == 0 { [&self.sampler, &full] } else { [&full, &self.sampler] };
            let mut seconds = [draw(pair[0])?.1, draw(pair[1])?.1];
            if speedups.len() % 2 == 1 {
                seconds.reverse();
            }
            speedups.push(seconds[1] / seconds[0]);
        }
        progress.finish();

        speedups.sort_by(f64::total_cmp);
        let rounds = speedups.len();
        let speedup = (speedups[(rounds - 1) / 2] + speedups[rounds / 2]) / 2.0;
        let predicted_speedup = 1.0 / early.cost_share();
        Ok(Measured {
            images: request.len(),
            rounds,
            speedup,
            least: speedups[0],
            most: speedups[rounds - 1],
            predicted_speedup,
            r: speedup / predicted_speedup,
            rmse: rmse(&early, &deep, self.sampler.model().config.value_range)?,
        })
    }

    /// The run's sampler but for its exit; and with one micro-batch, whatever the number of images.
    fn at_full_depth(&self, batch: usize) -> Sampler {
        let (solver, steps) = self.sampler.solver();
        Sampler::new(self.sampler.model().share())
            .with_solver(solver, steps)
            .with_guidance(self.sampler.guidance())
            .with_batch(batch)
            .with_threads(self.parameters.threads)
    }

    /// Draws the images; the time in seconds.
    fn timed(
        &self,
        sampler: &Sampler,
        request: &Request,
        interrupt: &Interrupt,
    ) -> Result<(Outcome, f64), Failure> {
        let start = Instant::now();
        let outcome = sampler.sample(request, &mut |_: &Event| match interrupt.requested() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })?;
        if outcome.cancelled {
            let count = self.request.len();
            return Err(Failure::Interrupted { finished: count, count });
        }
        Ok((outcome, start.elapsed().as_secs_f64()))
    }
}

/// The first images of a request, at most so many.
fn first(request: &Request, images: usize) -> Result<Request, Failure> {
    let n = images.min(request.len());
    let mut first = Request::classes([], request.seed);
    first.classes = request.classes[..n].to_vec();
    if let Some(noise) = &request.initial_noise {
        first = first.with_noise(noise.f_narrow(0, 0, n as i64)?);
    }
    if let Some(init) = &request.init {
        first = first.with_init(init.x0.shallow_clone(), init.strength);
    }
    Ok(first)
}

/// The distance of two runs' images, as `offramp evaluate` gives it for their PNGs.
fn rmse(a: &Outcome, b: &Outcome, value_range: [f64; 2]) -> Result<f64, Failure> {
    let mut paired = PairedImages::new();
    for (a, b) in a.samples.iter().zip(&b.samples) {
        let (a, b) = (Pixels::from_tensor(&a.x, value_range)?, Pixels::from_tensor(&b.x, value_range)?);
        paired.push(view(&a)?, view(&b)?).map_err(EvaluateError::from)?;
    }
    Ok(paired.fidelity().map_err(EvaluateError::from)?.rmse)
}

fn view(image: &Pixels) -> Result<ArrayView3<'_, u8>, EvaluateError> {
    let refused = |_| MetricError::Shapes { expected: image.shape.to_vec(), got: vec![image.data.len()] };
    Ok(ArrayView3::from_shape(image.shape, &image.data).map_err(refused)?)
}
