//! Held-out images, noised and sent through the network to its end.

use std::ops::Range;

use ndarray::{Array3, s};
use tch::{Kind, TchError, Tensor};

use super::{ExitTable, Signal, SignalKind};
use crate::backbone::{Backbone, Input};
use crate::data::TrainingSet;
use crate::evaluate::in_order::in_order;
use crate::evaluate::{EvaluateError, ExtractionProgress};
use crate::learned::{LearnedExits, Pass, Quantity};
use crate::noise::{Draw, standard_normal};
use crate::solver::Diffusion;

/// Which images are looked at, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldOut {
    /// M: the first so many images, or all if there are fewer.
    pub count: usize,
    /// K times, evenly spaced: the middles of the K-ths of [0, T), rounded down.
    pub times: usize,
    /// The noise of image j at time t is the draw `Evaluation(t)` of seed + j.
    pub seed: u64,
    /// Images per forward pass; numbers are equal to the last bit only where this is.
    pub batch: usize,
    /// Workers, each with one libtorch thread.
    pub threads: usize,
}

impl Default for HeldOut {
    fn default() -> Self {
        Self { count: 200, times: 25, seed: 0, batch: 25, threads: 1 }
    }
}

/// The network whose exits are looked at. It predicts noise, and is on the CPU.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The network.
    pub backbone: &'a dyn Backbone,
    /// Its exits, in its dtype.
    pub exits: &'a LearnedExits,
    /// The betas that it was trained on.
    pub diffusion: &'a Diffusion,
    /// The pixel values that black and white stand for.
    pub value_range: [f64; 2],
}

/// What is measured of one image at one time and exit; of full depth only the first.
#[derive(Debug, Clone, Copy, Default)]
struct AtExit {
    noise_error: f64,
    full_error: f64,
    distance: f64,
    estimate: f64,
    gate: f64,
}

/// What a micro-batch gave: by exit, full depth last, and image.
type Rows = Vec<Vec<AtExit>>;

impl HeldOut {
    /// Measures the exits.
    ///
    /// `progress` hears how many of the M·K noised images are done.
    ///
    /// # Errors
    /// No images, times, batch or threads; one image alone, which is not compared with any; more times than T;
    /// exits or images that are not of this network; an output that is not finite; `progress` says stop.
    pub fn table(
        &self,
        subject: Subject,
        data: &TrainingSet,
        progress: &mut ExtractionProgress,
    ) -> Result<ExitTable, EvaluateError> {
        self.check(subject, data)?;
        let points = &subject.exits.config().points;
        let images = self.count.min(data.len());
        let timesteps = subject.diffusion.timesteps();
        let times: Vec<usize> = (0..self.times).map(|k| (2 * k + 1) * timesteps / (2 * self.times)).collect();
        let shape = |exits: usize| Array3::zeros((times.len(), exits, images));
        let mut noise_error = shape(points.len() + 1);
        let [mut full_error, mut distance, mut estimate, mut gate] = [(); 4].map(|()| shape(points.len()));
        self.each_micro_batch(subject, data, &times, images, progress, &mut |k, range, rows| {
            for (p, of_images) in rows.iter().enumerate() {
                for (j, at) in range.clone().zip(of_images) {
                    noise_error[[k, p, j]] = at.noise_error;
                    if p < points.len() {
                        full_error[[k, p, j]] = at.full_error;
                        distance[[k, p, j]] = at.distance;
                        estimate[[k, p, j]] = at.estimate;
                        gate[[k, p, j]] = at.gate;
                    }
                }
            }
            let finite = |a: &Array3<f64>| a.slice(s![k, .., range.clone()]).iter().all(|v| v.is_finite());
            match [&noise_error, &full_error, &distance, &estimate, &gate].into_iter().all(finite) {
                true => Ok(()),
                false => Err(EvaluateError::ExitsNotFinite { t: times[k], images: range }),
            }
        })?;
        let config = subject.exits.config();
        let estimator = config.estimator.map(|e| match e.quantity {
            Quantity::Uncertainty => SignalKind::Uncertainty,
            Quantity::Certainty => SignalKind::Certainty,
        });
        let signals = [
            estimator.map(|kind| Signal { kind, u: estimate }),
            config.gate.map(|_| Signal { kind: SignalKind::Gate, u: gate }),
        ];
        let cost = |depth: &usize| subject.backbone.cost(*depth);
        Ok(ExitTable {
            timesteps,
            times: times.iter().map(|&t| t as f64).collect(),
            points: points.clone(),
            depth: subject.backbone.depth(),
            costs: points.iter().map(cost).collect(),
            noise_error,
            full_error,
            distance,
            signals: signals.into_iter().flatten().collect(),
        })
    }

    fn check(&self, subject: Subject, data: &TrainingSet) -> Result<(), EvaluateError> {
        let refuse = |setting, got: usize, reason: String| {
            Err(EvaluateError::HeldOut { setting, got: got.to_string(), reason })
        };
        for (setting, got) in [("batch", self.batch), ("threads", self.threads), ("times", self.times)] {
            if got == 0 {
                return refuse(setting, got, "it must be at least 1".into());
            }
        }
        if self.count < 2 {
            return refuse("count", self.count, "at least 2 images are compared".into());
        }
        if data.len() < 2 {
            return Err(EvaluateError::TooFew { set: data.name.clone(), n: data.len() as u64, least: 2 });
        }
        let timesteps = subject.diffusion.timesteps();
        if self.times > timesteps {
            return refuse("times", self.times, format!("the network knows {timesteps} times"));
        }
        let [c, h, w] = data.shape;
        let [wc, wh, ww] = subject.backbone.shape().chw().map(|n| n as usize);
        if [c, h, w] != [wc, wh, ww] {
            return Err(EvaluateError::OtherShape {
                a: data.name.clone(),
                b: "the network".into(),
                shape_a: [h, w, c],
                shape_b: [wh, ww, wc],
            });
        }
        let depths = subject.backbone.exit_points();
        let last = depths.len().saturating_sub(1);
        let there = |point: &&usize| depths[..last].iter().any(|e| e.depth == **point);
        match subject.exits.config().points.iter().find(|p| !there(p)) {
            Some(&point) => refuse("exit", point, "the network cannot be left early there".into()),
            None => Ok(()),
        }
    }

    /// Hands the rows of every micro-batch (images of one time) to `sink`, with the time's index and the images.
    fn each_micro_batch(
        &self,
        subject: Subject,
        data: &TrainingSet,
        times: &[usize],
        images: usize,
        progress: &mut ExtractionProgress,
        sink: &mut dyn FnMut(usize, Range<usize>, Rows) -> Result<(), EvaluateError>,
    ) -> Result<(), EvaluateError> {
        let ranges = (0..images).step_by(self.batch).map(|j| j..images.min(j.saturating_add(self.batch)));
        let ranges: Vec<Range<usize>> = ranges.collect();
        let jobs: Vec<(usize, Range<usize>)> =
            (0..times.len()).flat_map(|k| ranges.iter().map(move |range| (k, range.clone()))).collect();
        let (count, mut done) = (images * times.len(), 0);
        let workers = 0..self.threads.clamp(1, jobs.len());
        let workers = workers.map(|_| (subject.backbone.share(), subject.exits.share())).collect();
        let (diffusion, value_range, seed) = (subject.diffusion, subject.value_range, self.seed);
        let measure = |(backbone, exits): &(Box<dyn Backbone>, LearnedExits), job: usize| {
            let (k, range) = &jobs[job];
            let subject = Subject { backbone: &**backbone, exits, diffusion, value_range };
            Ok(subject.rows(data, range.clone(), times[*k], seed)?)
        };
        in_order(workers, jobs.len(), &measure, &mut |job, rows| {
            let (k, range) = &jobs[job];
            done += range.len();
            sink(*k, range.clone(), rows)?;
            match progress(done, count).is_break() && done < count {
                true => Err(EvaluateError::Stopped { done, count }),
                false => Ok(()),
            }
        })
    }
}

impl Subject<'_> {
    /// Measures the images of a range at time t.
    fn rows(&self, data: &TrainingSet, range: Range<usize>, t: usize, seed: u64) -> Result<Rows, TchError> {
        let (backbone, exits) = (self.backbone, self.exits);
        let chw = backbone.shape().chw();
        let (x, noise) = self.noised(data, range.clone(), t, seed)?; // [b, C, H, W]
        let b = range.len() as i64;
        let times = Tensor::f_full([b], t as f64, (Kind::Float, tch::Device::Cpu))?;
        let class = Tensor::f_from_slice(&data.labels[range])?;
        let pass = Pass::run(backbone, exits, &Input { x: &x, t: &times, class: &class })?;
        // A learned variance is not part of the prediction.
        let prediction = |output: Tensor| output.f_narrow(1, 0, chw[0])?.f_to_kind(Kind::Double);
        let mut seen = vec![];
        for (depth, hidden) in &pass.states {
            let estimate = match exits.estimator(*depth) {
                Some(estimator) => {
                    let number = numbers(&estimator.per_image(hidden, pass.temb())?)?;
                    match estimator.quantity() {
                        Quantity::Uncertainty => number,
                        Quantity::Certainty => number.iter().map(|c| 1.0 - c).collect(),
                    }
                }
                None => vec![0.0; b as usize],
            };
            let gate = match exits.gate(*depth) {
                Some(gate) => {
                    let leave = numbers(&gate.logit(hidden, pass.temb())?.f_sigmoid()?)?;
                    leave.iter().map(|l| 1.0 - l).collect()
                }
                None => vec![0.0; b as usize],
            };
            seen.push((prediction(pass.output(*depth, hidden)?)?, estimate, gate));
        }
        let full = prediction(pass.full()?)?;
        let noise = noise.f_to_kind(Kind::Double)?;
        let mut rows = vec![];
        for (g, estimate, gate) in &seen {
            let apart = g.f_sub(&full)?;
            let noise_error = pixel_means(&g.f_sub(&noise)?.f_square()?)?;
            let full_error = pixel_means(&apart.f_square()?)?;
            let distance = pixel_means(&apart.f_abs()?)?;
            let at = |j| AtExit {
                noise_error: noise_error[j],
                full_error: full_error[j],
                distance: distance[j],
                estimate: estimate[j],
                gate: gate[j],
            };
            rows.push((0..b as usize).map(at).collect());
        }
        let of_full = pixel_means(&full.f_sub(&noise)?.f_square()?)?;
        rows.push(of_full.iter().map(|&noise_error| AtExit { noise_error, ..AtExit::default() }).collect());
        Ok(rows)
    }

    /// x_t = α·x_0 + σ·ε, and ε, both f32 `[b, C, H, W]`.
    fn noised(
        &self,
        data: &TrainingSet,
        range: Range<usize>,
        t: usize,
        seed: u64,
    ) -> Result<(Tensor, Tensor), TchError> {
        let chw = self.backbone.shape().chw();
        let [lo, hi] = self.value_range;
        let node = self.diffusion.node(t as f64);
        let (mut clean, mut noise) = (vec![], vec![]);
        for j in range {
            let pixels = Tensor::f_from_slice(data.image(j))?.f_view(chw)?.f_to_kind(Kind::Float)?;
            clean.push(pixels.f_mul_scalar((hi - lo) / 255.0)?.f_add_scalar(lo)?);
            noise.push(standard_normal(seed.wrapping_add(j as u64), Draw::Evaluation(t), chw)?);
        }
        let (clean, noise) = (Tensor::f_stack(&clean, 0)?, Tensor::f_stack(&noise, 0)?);
        let x = clean.f_mul_scalar(node.alpha)?.f_add(&noise.f_mul_scalar(node.sigma)?)?;
        Ok((x, noise))
    }
}

/// The mean of each image `[b, C, H, W]`.
fn pixel_means(images: &Tensor) -> Result<Vec<f64>, TchError> {
    numbers(&images.f_mean_dim(&[1i64, 2, 3][..], false, Kind::Double)?)
}

fn numbers(values: &Tensor) -> Result<Vec<f64>, TchError> {
    Vec::try_from(values.f_to_kind(Kind::Double)?)
}
