//! The recipe on the command line.

use offramp::train::{Arithmetic, Recipe, Weighting};

/// What a run's result follows from, but for its data and its method. Where nothing is said, the method's own
/// default holds.
#[derive(clap::Args)]
pub struct Options {
    /// Of the order of the images and of all that is drawn for them.
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,

    /// Steps in all; the learning rate's fall is laid out over them.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,

    /// Images per step.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,

    /// Workers: parts of a batch, whose gradients are averaged. As many threads can share the work.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,

    /// Images per forward pass of a worker.
    #[arg(long, value_name = "N")]
    micro_batch: Option<usize>,

    /// The highest learning rate.
    #[arg(long, value_name = "R")]
    rate: Option<f64>,

    /// The last step's learning rate.
    #[arg(long, value_name = "R")]
    last_rate: Option<f64>,

    /// Share of the steps over which the rate climbs.
    #[arg(long, value_name = "SHARE")]
    warm_up: Option<f64>,

    /// AdamW's decay of matrices.
    #[arg(long, value_name = "W")]
    weight_decay: Option<f64>,

    /// Gradients are scaled down to this norm.
    #[arg(long, value_name = "NORM")]
    clip: Option<f64>,

    /// Decay of the weights' moving average, a step; the average is what comes out.
    #[arg(long, value_name = "D")]
    average: Option<f64>,

    /// Share of the labels that are replaced by the null class.
    #[arg(long, value_name = "SHARE")]
    label_dropout: Option<f64>,

    /// Weigh errors by min(SNR, GAMMA)/SNR; 0 weighs all times alike.
    #[arg(long, value_name = "GAMMA")]
    min_snr: Option<f64>,

    /// Arithmetic of the passes; what is learned is f32 in any case.
    #[arg(long, value_parser = ["f32", "bf16"], value_name = "DTYPE")]
    dtype: Option<String>,
}

impl Options {
    /// The recipe: what is said here, and `usual` for the rest.
    pub fn over(&self, usual: Recipe) -> Recipe {
        Recipe {
            seed: self.seed,
            steps: self.steps.unwrap_or(usual.steps),
            batch: self.batch.unwrap_or(usual.batch),
            shards: self.workers.unwrap_or(usual.shards),
            micro_batch: self.micro_batch.unwrap_or(usual.micro_batch),
            peak_rate: self.rate.unwrap_or(usual.peak_rate),
            floor_rate: self.last_rate.unwrap_or(usual.floor_rate),
            warm_up: self.warm_up.unwrap_or(usual.warm_up),
            weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
            clip: self.clip.unwrap_or(usual.clip),
            average: self.average.unwrap_or(usual.average),
            label_dropout: self.label_dropout.unwrap_or(usual.label_dropout),
            weighting: match self.min_snr {
                Some(0.0) => Weighting::Uniform,
                Some(gamma) => Weighting::MinSnr { gamma },
                None => usual.weighting,
            },
            arithmetic: match self.dtype.as_deref() {
                Some("bf16") => Arithmetic::Bf16,
                Some(_) => Arithmetic::F32,
                None => usual.arithmetic,
            },
            betas: usual.betas,
        }
    }
}
