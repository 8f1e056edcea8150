//! A network of six blocks that runs in milliseconds, with every learned part at every exit, and schedules for it.

#![allow(dead_code, reason = "each test crate uses its own part")]

#[path = "../learned_exits/mod.rs"]
pub mod learned_exits;
#[path = "../tiny_model/mod.rs"]
pub mod tiny_model;

use std::fs;

use learned_exits::{estimator, gate, random};
use offramp::exit::{Exit, ExitSpec};
use offramp::learned::{EstimatorKind, HeadKind, LearnedConfig};
use offramp::tail::{Tail, TailSpec};
use offramp::{Guidance, Model, Outcome, Request, Sampler};
use tempfile::TempDir;

/// Its blocks.
pub const DEPTH: usize = 6;
/// The class that stands for "no label".
pub const NULL: i64 = 4;
/// `[C, H, W]`.
pub const CHW: [i64; 3] = [1, 8, 8];
/// Guidance that acts on some of a trajectory's evaluations only.
pub const IN_THE_MIDDLE: Guidance = Guidance { interval: [150.0, 700.0], ..Guidance::scale(2.0) };

/// The network, and the folder in which it and its schedules lie.
pub struct SixBlocks {
    folder: TempDir,
    /// The network; its exits have estimators after the paper, gates, and local heads.
    pub model: Model,
}

impl SixBlocks {
    pub fn new() -> Self {
        tch::set_num_threads(1);
        let folder = tempfile::tempdir().unwrap();
        let mut config = tiny_model::config();
        config["depth"] = DEPTH.into();
        let weights = tiny_model::to_safetensors(&tiny_model::tensors(&config));
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        fs::write(folder.path().join("model.safetensors"), weights).unwrap();
        let stairs: &[_] = &[(0.0, 300.0, 5), (300.0, 600.5, 3), (600.5, 1000.0, 2)];
        let hill: &[_] = &[(0.0, 450.0, 2), (450.0, 800.0, 6), (800.0, 1000.0, 4)];
        for (name, segments) in [("stairs", stairs), ("hill", hill)] {
            let mut schedule = tiny_model::schedule(name, segments);
            schedule["depth"] = DEPTH.into();
            fs::write(folder.path().join(name).with_extension("json"), schedule.to_string()).unwrap();
        }
        let mut model = Model::open(folder.path()).unwrap();
        let learned = LearnedConfig {
            points: (1..DEPTH).collect(),
            heads: HeadKind::Local,
            estimator: estimator(EstimatorKind::Paper),
            gate: gate(3),
            ..learned_exits::config(&model.sha256)
        };
        model.exits = Some(random(learned, 0.3));
        Self { folder, model }
    }

    /// An exit as typed.
    pub fn exit(&self, typed: &str) -> Box<dyn Exit> {
        let spec: ExitSpec = typed.parse().unwrap_or_else(|e| panic!("{typed}: {e}"));
        spec.build(self.folder.path(), self.model.exits.as_ref()).unwrap()
    }

    /// A tail as typed.
    pub fn tail(&self, typed: &str) -> Box<dyn Tail> {
        let spec: TailSpec = typed.parse().unwrap_or_else(|e| panic!("{typed}: {e}"));
        spec.build(self.model.exits.as_ref()).unwrap()
    }

    /// All images of a request in one batch, on one thread.
    pub fn sampler(&self, exit: impl Exit + 'static, tail: &str, solver: &str, steps: usize) -> Sampler {
        Sampler::new(self.model.share())
            .with_exit(exit)
            .with_tail(self.tail(tail))
            .with_solver(solver.parse().unwrap(), steps)
            .with_batch(64)
            .with_threads(1)
    }
}

pub fn draw(sampler: &Sampler, classes: &[i64], seed: u64) -> Outcome {
    sampler.sample(&Request::classes(classes.iter().copied(), seed), &mut ()).unwrap()
}
