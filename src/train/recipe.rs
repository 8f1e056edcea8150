//! How a network is trained, apart from what the loss is.

use serde::{Deserialize, Serialize};
use tch::Kind;

use super::learner::Rules;
use super::{TrainError, WarmupCosine, Weighting};

/// Arithmetic of the forward and backward pass; what is learned is f32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    /// 32 bits.
    F32,
    /// bfloat16 of the f32 masters; gradients come back in f32.
    Bf16,
}

impl Arithmetic {
    /// libtorch's name for it.
    pub fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }
}

/// Settings that follow a run from its start to its end; the result follows from them and the data alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Of the order of the images and of all that is drawn for them.
    pub seed: u64,
    /// Steps in all.
    pub steps: usize,
    /// Images per step.
    pub batch: usize,
    /// Parts of a batch, each with a gradient of its own; as many threads can share it.
    pub shards: usize,
    /// Images per forward; a shard is cut into so many at a time.
    pub micro_batch: usize,
    /// The highest learning rate.
    pub peak_rate: f64,
    /// The last step's.
    pub floor_rate: f64,
    /// Share of the steps over which the rate climbs.
    pub warm_up: f64,
    /// AdamW's β₁, β₂.
    pub betas: [f64; 2],
    /// AdamW's λ, for matrices.
    pub weight_decay: f64,
    /// Gradients are scaled down to this joint norm.
    pub clip: f64,
    /// Decay of the weights' moving average, a step; the average is the result.
    pub average: f64,
    /// Share of the labels that are replaced by the null class.
    pub label_dropout: f64,
    /// λ(t).
    pub weighting: Weighting,
    /// Arithmetic of the pass.
    pub arithmetic: Arithmetic,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            seed: 0,
            steps: 2_000,
            batch: 128,
            shards: 2,
            micro_batch: 32,
            peak_rate: 5e-4,
            floor_rate: 1e-5,
            warm_up: 0.03,
            betas: [0.9, 0.99],
            weight_decay: 0.0,
            clip: 1.0,
            average: 0.998,
            label_dropout: 0.1,
            weighting: Weighting::MinSnr { gamma: 5.0 },
            arithmetic: Arithmetic::F32,
        }
    }
}

impl Recipe {
    /// The rate by step.
    pub fn rates(&self) -> WarmupCosine {
        WarmupCosine {
            peak: self.peak_rate,
            floor: self.floor_rate,
            warm_up: (self.warm_up * self.steps as f64).round() as usize,
            steps: self.steps,
        }
    }

    pub(super) fn rules(&self) -> Rules {
        Rules { betas: self.betas, weight_decay: self.weight_decay, clip: self.clip, average: self.average }
    }

    /// Checks it against the number of images there are.
    ///
    /// # Errors
    /// A setting cannot be.
    pub fn check(&self, images: usize, null_class: Option<i64>) -> Result<(), TrainError> {
        let refuse = |setting, got: String, reason| Err(TrainError::Setting { setting, got, reason });
        let counts = [
            ("steps", self.steps),
            ("batch", self.batch),
            ("workers", self.shards),
            ("micro-batch", self.micro_batch),
        ];
        for (setting, value) in counts {
            if value == 0 {
                return refuse(setting, "0".into(), "it must be at least 1");
            }
        }
        if self.batch > images {
            return refuse("batch", self.batch.to_string(), "it must be at most the number of images");
        }
        if !self.batch.is_multiple_of(self.shards) {
            return refuse("batch", self.batch.to_string(), "it must be a multiple of the number of workers");
        }
        let shares = [
            ("label-dropout", self.label_dropout),
            ("warm-up", self.warm_up),
            ("average", self.average),
            ("beta1", self.betas[0]),
            ("beta2", self.betas[1]),
        ];
        for (setting, value) in shares {
            if !(0.0..1.0).contains(&value) {
                return refuse(setting, value.to_string(), "it must be at least 0 and below 1");
            }
        }
        let amounts = [
            ("rate", self.peak_rate),
            ("last-rate", self.floor_rate),
            ("weight-decay", self.weight_decay),
            ("clip", self.clip),
        ];
        for (setting, value) in amounts {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(setting, value.to_string(), "it must be a number of at least 0");
            }
        }
        if self.clip == 0.0 || self.peak_rate == 0.0 {
            let setting = if self.clip == 0.0 { "clip" } else { "rate" };
            return refuse(setting, "0".into(), "nothing would be learned");
        }
        if let Weighting::MinSnr { gamma } = self.weighting
            && !(gamma.is_finite() && gamma > 0.0)
        {
            return refuse("min-snr", gamma.to_string(), "it must be above 0");
        }
        if self.label_dropout > 0.0 && null_class.is_none() {
            let got = self.label_dropout.to_string();
            return refuse("label-dropout", got, "the network has no null class for dropped labels");
        }
        Ok(())
    }
}
