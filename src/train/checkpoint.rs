//! What a run must remember to go on: one `.safetensors` file of f32, renamed into place.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use tch::{Kind, Tensor};

use super::TrainError;
use crate::backbone::Checkpoint;
use crate::output::write_tensors;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainState {
    /// Steps made.
    pub step: usize,
    /// Seconds they took, over all its sessions.
    pub seconds: f64,
}

impl TrainState {
    /// Writes f32 tensors by name (weights, averages, moments), all or nothing.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, file: &Path, tensors: &[(String, Tensor)]) -> Result<(), TrainError> {
        let facts = HashMap::from([
            ("step".to_owned(), self.step.to_string()),
            ("seconds".to_owned(), self.seconds.to_string()),
        ]);
        Ok(write_tensors(file, Kind::Float, tensors, facts)?)
    }

    /// Reads what [`TrainState::write`] wrote, into the same tensors.
    ///
    /// # Errors
    /// The file is damaged, or holds other tensors.
    pub fn read(file: &Path, tensors: &[(String, Tensor)]) -> Result<Self, TrainError> {
        let checkpoint = Checkpoint::open(file)?;
        let shape = |t: &Tensor| t.size().iter().map(|&n| n as usize).collect();
        let expected: BTreeMap<String, Vec<usize>> =
            tensors.iter().map(|(name, tensor)| (name.clone(), shape(tensor))).collect();
        checkpoint.expect(&expected, "the run's settings")?;
        let number = |fact: &str| checkpoint.fact(fact).ok_or_else(|| format!("it does not say its {fact}"));
        let state = || -> Result<Self, String> {
            let step = number("step")?.parse().map_err(|e| format!("step: {e}"))?;
            let seconds = number("seconds")?.parse().map_err(|e| format!("seconds: {e}"))?;
            Ok(Self { step, seconds })
        };
        let state = state().map_err(|reason| TrainError::Damaged { file: file.to_owned(), reason })?;
        let (by_name, _) = checkpoint.read()?;
        let _no_grad = tch::no_grad_guard();
        for (name, tensor) in tensors {
            // `expect` has compared the names.
            if let Some(values) = by_name.get(name) {
                tensor.shallow_clone().f_copy_(values)?;
            }
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_bit_for_bit_and_into_its_own_tensors_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("checkpoint.safetensors");
        let tensor = Tensor::from_slice(&[1f32 / 3.0, -0.0, 1e-40]).view([3, 1]);
        let state = TrainState { step: 12, seconds: 3.25 };
        state.write(&file, &[("a".into(), tensor.shallow_clone())]).unwrap();
        let into = [("a".to_owned(), Tensor::zeros([3, 1], (Kind::Float, tch::Device::Cpu)))];
        assert_eq!(TrainState::read(&file, &into).unwrap(), state);
        assert_eq!(into[0].1, tensor);
        let other = [("a".to_owned(), Tensor::zeros([1, 3], (Kind::Float, tch::Device::Cpu)))];
        assert!(matches!(TrainState::read(&file, &other), Err(TrainError::Checkpoint(_))));
    }
}
