//! The model card of `fashion-features`, with the figures of the run that made it.

use super::{FeaturesOutcome, FeaturesRecipe};

/// What the card is filled in with.
pub(super) struct Card<'a> {
    pub recipe: &'a FeaturesRecipe,
    pub outcome: &'a FeaturesOutcome,
    pub parameters: usize,
    pub threads: usize,
    pub command: &'a str,
}

impl Card<'_> {
    pub fn text(&self) -> String {
        let Self { recipe, outcome, parameters, threads, command } = self;
        let thousands = |n: usize| match n {
            0..1000 => n.to_string(),
            _ => format!("{},{:03}", n / 1000, n % 1000),
        };
        format!(
            "# fashion-features\n\
             \n\
             A small classifier of 28×28 Fashion-MNIST, whose penultimate layer (128 numbers) is the feature extractor \
             `fashion-features`: Fréchet and kernel distances between sets of such images are taken over it. They are \
             not FID.\n\
             \n\
             | | |\n\
             |---|---|\n\
             | test accuracy | {accuracy:.2} % of the 10,000 test images, by the file as it is here |\n\
             | network | five 3×3 convolutions with batch norm and two shortcuts, mean over the image, one linear layer; \
             {parameters} parameters (`src/extract/fashion.rs`) |\n\
             | file | `model.safetensors`, f16, {kilobytes:.0} kB, running statistics included; sha256 `{sha256}` |\n\
             | data | Fashion-MNIST's first {images} training images (Zalando Research, MIT licence; Debian's \
             `dataset-fashion-mnist`); no test image was trained on |\n\
             | training | {epochs} epochs of batches of {batch} in {shards} shards, {steps} steps; AdamW {rate}, warm-up over \
             {warm_up:.0} % of the steps, then cosine to 0, weight decay {decay}; label smoothing {smoothing}; shifts of \
             up to {shift} px{mirror}; these are the weights' moving average (decay {average} a step) \
             at the last step, whatever the test said |\n\
             | time | {minutes:.1} minutes on {threads} CPU thread{s} |\n\
             | command | `{command}`; all settings are in `config.json`, all losses in `metrics.jsonl` |\n\
             | licence | MIT OR Apache-2.0, as the project |\n",
            accuracy = 100.0 * outcome.test_accuracy,
            parameters = thousands(*parameters),
            kilobytes = outcome.bytes as f64 / 1e3,
            sha256 = outcome.sha256,
            images = thousands(recipe.images),
            epochs = recipe.epochs,
            batch = recipe.batch,
            shards = recipe.shards,
            steps = thousands(recipe.steps()),
            rate = recipe.peak_rate,
            warm_up = 100.0 * recipe.warm_up,
            decay = recipe.weight_decay,
            smoothing = recipe.label_smoothing,
            shift = recipe.augmentation.shift,
            mirror = if recipe.augmentation.mirror { ", mirroring" } else { "" },
            average = recipe.average,
            minutes = outcome.seconds / 60.0,
            s = if *threads == 1 { "" } else { "s" },
        )
    }
}
