//! The models of a plan, each opened once, and a sampler for every point.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use tch::{Device, Kind};

use super::plan::Plan;
use super::plan_error::PlanError;
use super::points::{Point, WeightsFacts, expand};
use super::{BenchError, Labels, Settings};
use crate::exit::{ExitSpec, Rule, schedule_names};
use crate::guidance::Guidance;
use crate::noise::uniform_class;
use crate::tail::{TailSpec, default_tail};
use crate::{Model, Request, Sampler};

/// Where the weights of a plan are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsPlace {
    /// How the plan calls them.
    pub entry: String,
    /// Their folder.
    pub folder: PathBuf,
    /// The folder of their schedules.
    pub schedules: PathBuf,
}

/// The models of a plan.
pub struct Models {
    places: BTreeMap<String, WeightsPlace>,
    // By entry and dtype.
    open: BTreeMap<(String, String), Model>,
}

/// Every weights folder that a plan names, once.
pub fn weights_of(plan: &Plan) -> Vec<String> {
    let named = plan.weights.iter().chain(plan.point.iter().filter_map(|p| p.weights.as_ref()));
    let mut entries: Vec<String> = vec![];
    for entry in named {
        if !entries.contains(entry) {
            entries.push(entry.clone());
        }
    }
    entries
}

impl Models {
    /// Opens the models and lists the plan's points, each checked against its model.
    ///
    /// # Errors
    /// A weights folder is refused; a point cannot be, or its model refuses it.
    pub fn open(plan: &Plan, places: Vec<WeightsPlace>) -> Result<(Self, Vec<Point>), BenchError> {
        let mut models = Self { places: BTreeMap::new(), open: BTreeMap::new() };
        let mut facts = vec![];
        for place in places {
            let model = Model::open(&place.folder).map_err(crate::Error::from)?;
            facts.push(WeightsFacts {
                entry: place.entry.clone(),
                name: model.name.clone(),
                sha256: model.sha256.clone(),
                blocks: model.backbone.depth(),
                schedules: schedule_names(&place.schedules),
                tail: default_tail(model.exits.as_ref()).spec(),
                exits_sha256: model.exits.as_ref().and_then(|e| e.sha256()).map(str::to_owned),
            });
            models.open.insert((place.entry.clone(), "f32".into()), model);
            models.places.insert(place.entry.clone(), place);
        }
        let mut points = expand(plan, &facts)?;
        for point in &mut points {
            models.open_as(&point.weights, &point.settings.dtype)?;
            let what = point.name();
            let refused =
                |source: crate::Error| PlanError::Point { what: what.clone(), source: Box::new(source) };
            let sampler = models.sampler(point).map_err(refused)?;
            let request = models.request(point, 0..plan.n);
            sampler.check(&request).map_err(refused)?;
            let channels = sampler.model().backbone.shape().channels as usize;
            if channels != 1 && channels != 3 {
                return Err(crate::output::OutputError::Channels { channels }.into());
            }
            let evaluations = sampler.evaluations(&request).map_err(refused)?;
            point.times = evaluations.iter().map(|e| e.node.t).collect();
        }
        Ok((models, points))
    }

    fn open_as(&mut self, entry: &str, dtype: &str) -> Result<(), crate::Error> {
        let key = (entry.to_owned(), dtype.to_owned());
        if !self.open.contains_key(&key) {
            let kind = if dtype == "bf16" { Kind::BFloat16 } else { Kind::Float };
            let model = Model::open_on(&self.places[entry].folder, Device::Cpu, kind)?;
            self.open.insert(key, model);
        }
        Ok(())
    }

    /// `[H, W, C]` of the images of all points.
    ///
    /// # Errors
    /// They differ.
    pub fn image_shape(&self, points: &[Point]) -> Result<[usize; 3], PlanError> {
        let of = |point: &Point| {
            let [c, h, w] = self.model(point).backbone.shape().chw().map(|n| n as usize);
            [h, w, c]
        };
        let shape = points.first().map_or([0; 3], of);
        match points.iter().find(|p| of(p) != shape) {
            Some(odd) => {
                let reason = format!("its images are {:?} [H, W, C], those before it {shape:?}", of(odd));
                Err(PlanError::value("weights", format!("{:?}", odd.weights), reason))
            }
            None => Ok(shape),
        }
    }

    /// A point's model.
    ///
    /// # Panics
    /// When the point is of another plan.
    pub fn model(&self, point: &Point) -> &Model {
        &self.open[&(point.weights.clone(), point.settings.dtype.clone())]
    }

    /// A point's sampler; a peer's is that of full depth.
    ///
    /// # Errors
    /// Its exit, tail or solver cannot be made.
    pub fn sampler(&self, point: &Point) -> Result<Sampler, crate::Error> {
        let s = &point.settings;
        let exit: ExitSpec = if point.is_peer() { Rule::Full.into() } else { s.exit.parse()? };
        let tail: TailSpec = s.tail.parse()?;
        let model = self.model(point);
        let exit = exit.build(&self.places[&point.weights].schedules, model.exits.as_ref())?;
        Ok(Sampler::new(model.share())
            .with_exit(exit)
            .with_tail(tail.build(model.exits.as_ref())?)
            .with_solver(s.solver.parse()?, s.steps)
            .with_guidance(Guidance::scale(s.guidance))
            .with_batch(s.batch)
            .with_threads(s.threads))
    }

    /// The request for some of a point's images.
    pub fn request(&self, point: &Point, images: Range<usize>) -> Request {
        let s = &point.settings;
        let classes = self.model(point).config.num_classes;
        let first = s.seed.wrapping_add(images.start as u64);
        Request::classes(images.map(|k| class(s, k, classes)), first)
    }
}

/// The class of image `k`.
pub fn class(settings: &Settings, k: usize, classes: i64) -> i64 {
    match settings.labels {
        Labels::Uniform => uniform_class(settings.seed.wrapping_add(k as u64), classes as u64) as i64,
        Labels::Balanced => k as i64 % classes,
    }
}
