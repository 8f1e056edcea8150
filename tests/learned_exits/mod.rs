//! Learned exits with random weights, for networks of the tests.

#![allow(dead_code, reason = "each test crate uses its own part")]

use std::collections::BTreeMap;

use offramp::learned::{
    EstimatorConfig, EstimatorKind, GateConfig, HeadKind, LearnedConfig, LearnedExits, Target, VERSION,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

/// Whatever is not said otherwise: of the tiny network's size, with nothing learned.
pub fn config(weights_sha256: &str) -> LearnedConfig {
    LearnedConfig {
        version: VERSION,
        weights_sha256: weights_sha256.into(),
        width: 32,
        grid: [2, 2],
        patch_outputs: 16,
        points: vec![1, 2],
        heads: HeadKind::Shared,
        estimator: None,
        gate: None,
    }
}

/// A SHA-256 of nothing in particular.
pub fn sha() -> String {
    "0123456789abcdef".repeat(4)
}

pub fn estimator(kind: EstimatorKind) -> Option<EstimatorConfig> {
    Some(EstimatorConfig::new(kind, Target::Noise))
}

pub fn gate(hidden: usize) -> Option<GateConfig> {
    Some(GateConfig { hidden })
}

/// Normal numbers times `size`, from a seed.
pub fn normal(shape: &[i64], size: f64, seed: u64) -> Tensor {
    let n = shape.iter().product::<i64>() as usize;
    let rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = StandardNormal.sample_iter(rng).take(n).collect();
    (Tensor::from_slice(&values) * size).view(shape)
}

/// Every tensor of a description, normal times `size`.
pub fn tensors(config: &LearnedConfig, size: f64) -> BTreeMap<String, Tensor> {
    let shapes = LearnedExits::shapes(config);
    let drawn = shapes.into_iter().enumerate().map(|(seed, (name, shape))| {
        let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        (name, normal(&shape, size, 1000 + seed as u64))
    });
    drawn.collect()
}

/// Exits of random tensors.
pub fn random(config: LearnedConfig, size: f64) -> LearnedExits {
    let tensors = tensors(&config, size);
    LearnedExits::assemble(config, &tensors).unwrap()
}

/// Exits whose estimators (any kind) and gates give the same number everywhere, one a point.
pub fn constant(config: LearnedConfig, numbers: &[f64]) -> LearnedExits {
    let mut tensors: BTreeMap<String, Tensor> = tensors(&config, 0.0);
    for (point, number) in config.points.iter().zip(numbers) {
        let logit = (number / (1.0 - number)).ln();
        for bias in [format!("estimators.{point}.bias"), format!("gates.{point}.fc2.bias")] {
            if let Some(tensor) = tensors.get_mut(&bias) {
                *tensor = &*tensor + logit;
            }
        }
    }
    LearnedExits::assemble(config, &tensors).unwrap()
}
