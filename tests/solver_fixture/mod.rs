//! Reads the reference fixtures: safetensors files that describe themselves in their metadata.

#![allow(dead_code, reason = "each test crate uses its own part")]

use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// One fixture file, read whole.
pub struct Fixture {
    bytes: Vec<u8>,
    metadata: HashMap<String, String>,
}

impl Fixture {
    /// Opens `tests/fixtures/<name>.safetensors` and checks that it is a fixture of the version read here.
    pub fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        assert_eq!(metadata["magic"], "offramp-fixture");
        assert_eq!(metadata["version"], "1");
        Self { bytes, metadata }
    }

    /// A number from the metadata.
    pub fn number(&self, key: &str) -> f64 {
        self.metadata[key].parse().unwrap()
    }

    /// The list of cases.
    pub fn cases(&self) -> Vec<Value> {
        serde_json::from_str(&self.metadata["cases"]).unwrap()
    }

    /// Whether a tensor is there.
    pub fn has(&self, name: &str) -> bool {
        SafeTensors::deserialize(&self.bytes).unwrap().tensor(name).is_ok()
    }

    /// The names of all tensors.
    pub fn names(&self) -> Vec<String> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        tensors.names().into_iter().map(str::to_owned).collect()
    }

    /// A tensor as libtorch holds it: f32, f64, i64 or u8.
    pub fn tensor(&self, name: &str) -> tch::Tensor {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let kind = match view.dtype() {
            Dtype::F32 => tch::Kind::Float,
            Dtype::F64 => tch::Kind::Double,
            Dtype::I64 => tch::Kind::Int64,
            Dtype::U8 => tch::Kind::Uint8,
            other => panic!("{name} is {other:?}"),
        };
        tch::Tensor::from_data_size(
            view.data(),
            &view.shape().iter().map(|&n| n as i64).collect::<Vec<_>>(),
            kind,
        )
    }

    /// A tensor's values, row by row, whatever its float type.
    pub fn values(&self, name: &str) -> Vec<f64> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let data = tensor.data();
        match tensor.dtype() {
            Dtype::F64 => data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            Dtype::F32 => {
                data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect()
            }
            other => panic!("{name} is {other:?}"),
        }
    }
}

/// A case's text.
pub fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{case} has no text {key}"))
}

/// A case's whole number.
pub fn count(case: &Value, key: &str) -> usize {
    case[key].as_u64().unwrap_or_else(|| panic!("{case} has no number {key}")) as usize
}

/// The diffusion process of a case.
pub fn diffusion(case: &Value) -> offramp::solver::Diffusion {
    let schedule = serde_json::from_value(case["beta_schedule"].clone()).unwrap();
    let beta = |key: &str| case[key].as_f64().unwrap_or(0.0);
    let made = offramp::solver::Diffusion::new(
        schedule,
        count(case, "timesteps"),
        beta("beta_start"),
        beta("beta_end"),
    );
    made.unwrap()
}
