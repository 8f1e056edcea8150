//! Untrained exits, from a seed alone: libtorch's generator, which all threads share, is not touched.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, TchError, Tensor};

use crate::linear::Shapes;

/// How a tensor starts.
enum Start {
    Ones,
    Zeros,
    /// Normal, of variance 1 / fan-in.
    Normal,
}

/// Norms start as the identity, biases at zero, and so does the last layer of every head, so that it changes
/// nothing. Estimators are logistic regressions: from zero they go straight, and are not saturated by the size
/// of L_i.
fn start(name: &str) -> Start {
    if name.ends_with(".norm.weight") {
        return Start::Ones;
    }
    let zero = [".bias", ".linear.weight", ".proj.weight"];
    match zero.iter().any(|end| name.ends_with(end)) || name.starts_with("estimators.") {
        true => Start::Zeros,
        false => Start::Normal,
    }
}

/// The tensors of these shapes, f32 on the CPU.
pub(super) fn tensors(shapes: &Shapes, seed: u64) -> Result<BTreeMap<String, Tensor>, TchError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors = BTreeMap::new();
    for (name, shape) in shapes {
        let size: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        let tensor = match start(name) {
            Start::Ones => Tensor::f_ones(&size, (Kind::Float, Device::Cpu))?,
            Start::Zeros => Tensor::f_zeros(&size, (Kind::Float, Device::Cpu))?,
            Start::Normal => {
                let fan_in: usize = shape[1..].iter().product();
                let n = shape.iter().product();
                let values: Vec<f32> = StandardNormal.sample_iter(&mut rng).take(n).collect();
                Tensor::f_from_slice(&values)?
                    .f_view(&size[..])?
                    .f_mul_scalar((fan_in as f64).sqrt().recip())?
            }
        };
        tensors.insert(name.clone(), tensor);
    }
    Ok(tensors)
}
