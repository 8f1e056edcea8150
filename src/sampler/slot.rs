//! A slot holds all that a run remembers of one image; a batch only maps rows to slots.

use tch::{TchError, Tensor};

use crate::exit::Memory;
use crate::observer::Sample;
use crate::row_memory::RowMemory;
use crate::sampler::exit_loop::Left;
use crate::solver::History;

/// One image on its way.
pub(crate) struct Slot {
    /// Its index k in the request.
    pub image: usize,
    /// Its seed.
    pub seed: u64,
    /// Its class.
    pub class: Option<i64>,
    /// x_t, f32 `[C, H, W]`.
    pub x: Tensor,
    /// The evaluation that comes next.
    pub evaluation: usize,
    /// Earlier values that the solver still needs.
    pub history: History,
    /// What the exit policy remembers.
    pub memory: Memory,
    /// What the exit policy remembers of each guidance half in tensors.
    pub seen: [RowMemory; 2],
    /// What the tail remembers of each guidance half.
    pub learned: [RowMemory; 2],
    depths: Vec<usize>,
    uncertainties: Vec<Option<f32>>,
    cost: f64,
    full_cost: f64,
    drafted: usize,
    accepted: usize,
}

impl Slot {
    pub fn new(image: usize, seed: u64, class: Option<i64>, x: Tensor, memory: usize) -> Self {
        Self {
            image,
            seed,
            class,
            x,
            evaluation: 0,
            history: History::default(),
            memory: vec![0.0; memory],
            seen: Default::default(),
            learned: Default::default(),
            depths: vec![],
            uncertainties: vec![],
            cost: 0.0,
            full_cost: 0.0,
            drafted: 0,
            accepted: 0,
        }
    }

    /// The same image for another way on; its tensors are not copied.
    pub fn share(&self) -> Self {
        Self {
            x: self.x.shallow_clone(),
            history: self.history.share(),
            memory: self.memory.clone(),
            seen: self.seen.each_ref().map(RowMemory::share),
            learned: self.learned.each_ref().map(RowMemory::share),
            depths: self.depths.clone(),
            uncertainties: self.uncertainties.clone(),
            ..*self
        }
    }

    /// Notes how deep an evaluation of `rows` network rows went, and moves on to the next.
    pub fn advance(&mut self, x: Tensor, left: Left, rows: usize) {
        self.x = x;
        self.evaluation += 1;
        self.depths.push(left.depth);
        self.uncertainties.push(left.uncertainty);
        self.cost += left.cost;
        self.full_cost += rows as f64;
    }

    /// Takes the last evaluation back for one at full depth, `depth`, that led to `x`.
    pub fn correct(&mut self, x: Tensor, history: History, depth: usize) {
        self.x = x;
        self.history = history;
        if let Some(last) = self.depths.last_mut() {
            *last = depth;
        }
    }

    /// Notes what was run beside the evaluations that it stands behind, and how many drafts were made and accepted.
    pub fn note_drafts(&mut self, cost: f64, drafted: usize, accepted: usize) {
        self.cost += cost;
        self.drafted += drafted;
        self.accepted += accepted;
    }

    /// The finished image; its tensor is its own, not a view of its whole batch.
    pub fn finish(self) -> Result<Sample, TchError> {
        Ok(Sample {
            image: self.image,
            seed: self.seed,
            class: self.class,
            x: self.x.f_alias_copy()?,
            depths: self.depths,
            uncertainties: self.uncertainties,
            cost: self.cost,
            full_cost: self.full_cost,
            drafted: self.drafted,
            accepted: self.accepted,
            tail_bytes: self.learned.iter().map(RowMemory::bytes).sum(),
        })
    }
}
