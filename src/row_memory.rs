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
    series: BTreeMap<usize, Vec<(f64, Tensor)>>,
}

impl RowMemory {
    /// The same memory for another way on; its tensors are not copied.
    pub(crate) fn share(&self) -> Self {
        let noted =
            |series: &Vec<(f64, Tensor)>| series.iter().map(|(at, t)| (*at, t.shallow_clone())).collect();
        Self {
            tensors: self.tensors.iter().map(|(&key, tensor)| (key, tensor.shallow_clone())).collect(),
            series: self.series.iter().map(|(&key, series)| (key, noted(series))).collect(),
        }
    }

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

    /// The tensors of the series under `key` with the places that they were noted at, oldest first.
    pub fn series(&self, key: usize) -> &[(f64, Tensor)] {
        self.series.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Notes a tensor at a place of the series under `key`, which holds the last `most`; at a place that is there
    /// already it takes that one's place.
    pub fn note(&mut self, key: usize, at: f64, tensor: Tensor, most: usize) {
        let series = self.series.entry(key).or_default();
        series.retain(|(place, _)| *place != at);
        series.push((at, tensor));
        let spare = series.len().saturating_sub(most);
        series.drain(..spare);
    }

    /// Bytes of its tensors' elements.
    pub fn bytes(&self) -> usize {
        let series = self.series.values().flatten().map(|(_, tensor)| tensor);
        self.tensors.values().chain(series).map(|t| t.numel() * t.kind().elt_size_in_bytes()).sum()
    }
}
