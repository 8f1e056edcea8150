//! What an image carries from evaluation to evaluation for its solver.

use tch::Tensor;

use super::plan::Value;

/// What an image remembers of earlier evaluations: exactly what its plan will still refer to.
///
/// The tensors are `[C,H,W]` views into the batches they came from, which nothing writes to.
#[derive(Debug, Default)]
pub struct History {
    pub(super) values: Vec<(Value, usize, Tensor)>,
}

impl History {
    /// The history of an image that has not been evaluated yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same history for another way on; its tensors are not copied.
    pub(crate) fn share(&self) -> Self {
        let values = self.values.iter().map(|(value, of, tensor)| (*value, *of, tensor.shallow_clone()));
        Self { values: values.collect() }
    }

    /// The number of tensors held.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// A value of an earlier evaluation, `[C,H,W]`, if it is still held.
    pub fn get(&self, value: Value, evaluation: usize) -> Option<&Tensor> {
        self.values.iter().find(|(v, e, _)| *v == value && *e == evaluation).map(|(_, _, tensor)| tensor)
    }
}
