//! What a run remembers of one row in tensors.
//!
//! A row is an image's conditional or unconditional half. Its memory lives in the image's slot and goes
//! wherever the row goes: a policy or tail is handed the memories of exactly the rows that it is asked about,
//! in their order. It starts empty and ends with the image.

use std::collections::BTreeMap;

use tch::Tensor;

/// Tensors of one row, under numbers that their owner chooses.
#[derive(Debug, Default)]
pub struct RowMemory {
    tensors: BTreeMap<usize, Tensor>,
}

impl RowMemory {
    /// The tensor under `key`.
    pub fn get(&self, key: usize) -> Option<&Tensor> {
        self.tensors.get(&key)
    }

    /// Keeps a tensor under `key`, in place of the one that was there.
    ///
    /// A view keeps its whole batch alive: what is to stay for longer than an evaluation should be a copy.
    pub fn keep(&mut self, key: usize, tensor: Tensor) {
        self.tensors.insert(key, tensor);
    }

    /// Takes the tensor under `key` out.
    pub fn take(&mut self, key: usize) -> Option<Tensor> {
        self.tensors.remove(&key)
    }

    /// Bytes of its tensors' elements.
    pub fn bytes(&self) -> usize {
        self.tensors.values().map(|t| t.numel() * t.kind().elt_size_in_bytes()).sum()
    }
}
