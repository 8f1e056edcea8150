//! `--trace FILE.json` and `--heat-map FILE.png`: what every image did at every evaluation, in numbers and in colours.

use std::path::Path;

use ndarray::Array2;
use offramp::Sample;
use offramp::output::{
    DepthMap, ImageParameters, OutputError, RunParameters, write_atomically, write_heat_map,
};
use offramp::solver::Evaluation;
use serde::Serialize;

/// A run's trace.
#[derive(Serialize)]
pub struct Trace {
    #[serde(flatten)]
    run: RunParameters,
    evaluations: Vec<TracedEvaluation>,
    images: Vec<TracedImage>,
}

#[derive(Serialize)]
struct TracedEvaluation {
    step: usize,
    t: f64,
    alpha: f64,
    sigma: f64,
}

#[derive(Serialize)]
struct TracedImage {
    image: usize,
    seed: u64,
    class: Option<i64>,
    depths: Vec<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    uncertainties: Vec<Option<f32>>,
    /// Of images that a resumed run kept, the depths are known and the cost is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_cost: Option<f64>,
}

impl Trace {
    /// An empty trace over the run's evaluations.
    pub fn new(run: RunParameters, evaluations: &[Evaluation]) -> Self {
        let traced = |e: &Evaluation| TracedEvaluation {
            step: e.step,
            t: e.node.t,
            alpha: e.node.alpha,
            sigma: e.node.sigma,
        };
        Self { run, evaluations: evaluations.iter().map(traced).collect(), images: vec![] }
    }

    /// Adds a finished image.
    pub fn add(&mut self, sample: &Sample) {
        let scored = sample.uncertainties.iter().any(Option::is_some);
        self.images.push(TracedImage {
            image: sample.image,
            seed: sample.seed,
            class: sample.class,
            depths: sample.depths.clone(),
            uncertainties: if scored { sample.uncertainties.clone() } else { vec![] },
            cost: Some(sample.cost),
            full_cost: Some(sample.full_cost),
        });
    }

    /// Adds an image that an earlier run finished.
    pub fn keep(&mut self, image: ImageParameters) {
        self.images.push(TracedImage {
            image: image.image,
            seed: image.seed,
            class: image.class,
            depths: image.depths,
            uncertainties: vec![],
            cost: None,
            full_cost: None,
        });
    }

    /// The same with images by index.
    pub fn sorted(mut self) -> Self {
        self.images.sort_by_key(|i| i.image);
        self
    }

    /// Writes it as JSON.
    pub fn write(&self, file: &Path) -> Result<(), OutputError> {
        write_atomically(file, |out| {
            serde_json::to_writer(out, self)
                .map_err(|e| OutputError::Io { file: file.to_owned(), source: e.into() })
        })
    }

    /// Draws its depths in a network of `blocks` blocks; where no image was finished, there is nothing to draw.
    pub fn write_heat_map(
        &self,
        file: &Path,
        blocks: usize,
        class_name: impl Fn(i64) -> String,
    ) -> Result<(), OutputError> {
        if self.images.is_empty() {
            return Ok(());
        }
        let RunParameters { weights, solver, exit, tail, .. } = &self.run;
        let times: Vec<f64> = self.evaluations.iter().map(|e| e.t).collect();
        let images: Vec<usize> = self.images.iter().map(|i| i.image).collect();
        let name = |i: &TracedImage| i.class.map_or("none".into(), &class_name);
        let depths = Array2::from_shape_fn((images.len(), times.len()), |(row, evaluation)| {
            let depth = self.images[row].depths.get(evaluation).copied().unwrap_or_default();
            u16::try_from(depth).unwrap_or(u16::MAX)
        });
        let map = DepthMap {
            title: &format!("{weights}, {solver}, exit {exit}, tail {tail}"),
            depths: depths.view(),
            blocks,
            times: &times,
            images: &images,
            classes: &self.images.iter().map(name).collect::<Vec<_>>(),
        };
        write_heat_map(file, &map)
    }
}
