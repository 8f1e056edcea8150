//! What a run came to, summed over its images as they finish.

use offramp::Sample;

/// Sums over the images of a run.
#[derive(Default)]
pub struct Totals {
    pub images: usize,
    pub cost: f64,
    pub full_cost: f64,
    pub depths: usize,
    pub evaluations: usize,
    pub tail_bytes: usize,
    pub drafted: usize,
    pub accepted: usize,
    pub seconds: f64,
}

impl Totals {
    pub fn add(&mut self, sample: &Sample) {
        self.images += 1;
        self.cost += sample.cost;
        self.full_cost += sample.full_cost;
        self.depths += sample.depths.iter().sum::<usize>();
        self.evaluations += sample.depths.len();
        self.drafted += sample.drafted;
        self.accepted += sample.accepted;
        self.tail_bytes = self.tail_bytes.max(sample.tail_bytes);
    }

    pub fn cost_share(&self) -> f64 {
        if self.full_cost > 0.0 { self.cost / self.full_cost } else { 1.0 }
    }

    /// Share of the drafts that were accepted; none without verify mode.
    pub fn acceptance(&self) -> Option<f64> {
        (self.drafted > 0).then(|| self.accepted as f64 / self.drafted as f64)
    }

    pub fn mean_depth(&self) -> f64 {
        self.depths as f64 / self.evaluations.max(1) as f64
    }
}
