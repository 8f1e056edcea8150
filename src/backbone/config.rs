//! `config.json`: what a weights folder says of its network, diffusion and labels.
//!
//! The file states everything that the tensors cannot: which layout their keys follow, what the network
//! predicts, over which betas it was trained, and what its classes are called. Unknown fields are refused,
//! so that a misspelt one cannot pass for a default.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::solver::{BetaSchedule, PredictionType, X0Clip};

/// The architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Family {
    /// A diffusion transformer (Peebles & Xie 2022).
    Dit,
}

/// Whose key names the tensors carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Layout {
    /// facebookresearch/DiT: `blocks.0.attn.qkv.weight`.
    Meta,
    /// Hugging Face diffusers' `DiTTransformer2DModel`: `transformer_blocks.0.attn1.to_q.weight`.
    Huggingface,
}

/// The diffusion that the network was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diffusion {
    /// T, the number of training timesteps.
    pub timesteps: usize,
    /// The form of β_t.
    pub beta_schedule: BetaSchedule,
    /// β at t = 0; unused by `squaredcos_cap_v2`.
    #[serde(default = "default_beta_start")]
    pub beta_start: f64,
    /// β at t = T−1; unused by `squaredcos_cap_v2`.
    #[serde(default = "default_beta_end")]
    pub beta_end: f64,
    /// What the network's output is.
    pub prediction: PredictionType,
}

fn default_beta_start() -> f64 {
    1e-4
}

fn default_beta_end() -> f64 {
    0.02
}

/// A weights folder's `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The architecture.
    pub family: Family,
    /// Whose key names the tensors carry.
    pub layout: Layout,
    /// Height and width of `x`.
    pub input_size: i64,
    /// Height and width of a patch; divides `input_size`.
    pub patch_size: i64,
    /// Channels of `x`.
    pub in_channels: i64,
    /// Width D of a token.
    pub hidden_size: i64,
    /// Number of blocks N.
    pub depth: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_heads: i64,
    /// Width of the MLP over D.
    pub mlp_ratio: i64,
    /// Number of classes, the null class apart.
    pub num_classes: i64,
    /// The index that stands for "no label" (guidance's unconditional half), if one was trained.
    pub null_class: Option<i64>,
    /// Whether the output carries a variance behind the prediction.
    pub learn_sigma: bool,
    /// Hugging Face layout only: epsilon of the norm before the MLP (their `norm_eps`).
    #[serde(default = "default_norm_eps", skip_serializing_if = "is_default_norm_eps")]
    pub norm_eps: f64,
    /// Betas and prediction type.
    pub diffusion: Diffusion,
    /// What is done to a predicted x0 that leaves the value range.
    pub x0_clip: X0Clip,
    /// The pixel values that black and white stand for.
    pub value_range: [f64; 2],
    /// One name per class; empty when they have none.
    #[serde(default)]
    pub labels: Vec<String>,
}

fn default_norm_eps() -> f64 {
    1e-5
}

fn is_default_norm_eps(eps: &f64) -> bool {
    *eps == default_norm_eps()
}

/// Attention is quadratic in the tokens; the largest published DiTs have 4,096.
const MAX_TOKENS: i64 = 65_536;

/// Why a `config.json` is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not JSON, a field missing, unknown or of the wrong type.
    #[error("{}: {source}", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// A field whose value cannot be.
    #[error("{}: {field} = {value}: {reason}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        reason: String,
    },
}

impl Config {
    /// Reads and checks a `config.json`.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
        let config: Config = serde_json::from_slice(&text)
            .map_err(|source| ConfigError::Parse { file: file.to_owned(), source })?;
        config.check(file)?;
        Ok(config)
    }

    fn check(&self, file: &Path) -> Result<(), ConfigError> {
        let require = |holds: bool, field, value: String, reason: String| {
            if holds {
                Ok(())
            } else {
                Err(ConfigError::Value { file: file.to_owned(), field, value, reason })
            }
        };
        // Upper bounds keep every product of sizes below far from overflow.
        let size = |field, value: i64, max: i64| {
            require((1..=max).contains(&value), field, value.to_string(), format!("must be 1 to {max}"))
        };
        size("input_size", self.input_size, 16_384)?;
        size("patch_size", self.patch_size, self.input_size)?;
        size("in_channels", self.in_channels, 1_024)?;
        size("hidden_size", self.hidden_size, 65_536)?;
        size("depth", i64::try_from(self.depth).unwrap_or(i64::MAX), 1_024)?;
        size("num_heads", self.num_heads, self.hidden_size)?;
        size("mlp_ratio", self.mlp_ratio, 64)?;
        size("num_classes", self.num_classes, 10_000_000)?;
        size("diffusion.timesteps", i64::try_from(self.diffusion.timesteps).unwrap_or(i64::MAX), 1_000_000)?;
        let divides = |field, part: i64, whole_name: &str, whole: i64| {
            require(whole % part == 0, field, part.to_string(), format!("must divide {whole_name} = {whole}"))
        };
        divides("patch_size", self.patch_size, "input_size", self.input_size)?;
        let tokens = (self.input_size / self.patch_size).pow(2);
        require(
            tokens <= MAX_TOKENS,
            "patch_size",
            self.patch_size.to_string(),
            format!(
                "cuts input_size = {} into {tokens} tokens, and at most {MAX_TOKENS} can be",
                self.input_size
            ),
        )?;
        divides("num_heads", self.num_heads, "hidden_size", self.hidden_size)?;
        require(
            self.hidden_size % 4 == 0,
            "hidden_size",
            self.hidden_size.to_string(),
            "must be a multiple of 4 (sine-cosine positions in two axes)".into(),
        )?;
        if let Some(null) = self.null_class {
            require(
                null == self.num_classes,
                "null_class",
                null.to_string(),
                format!("must be num_classes = {}: the row behind the last class", self.num_classes),
            )?;
        }
        require(
            self.labels.is_empty() || self.labels.len() as i64 == self.num_classes,
            "labels",
            format!("{} names", self.labels.len()),
            format!("must name all {} classes, or none", self.num_classes),
        )?;
        let [lo, hi] = self.value_range;
        require(
            lo.is_finite() && hi.is_finite() && lo < hi,
            "value_range",
            format!("[{lo}, {hi}]"),
            "must be two finite numbers, low then high".into(),
        )?;
        self.x0_clip
            .check((lo, hi))
            .or_else(|e| require(false, "x0_clip", format!("{:?}", self.x0_clip), e.to_string()))?;
        require(
            !matches!(self.x0_clip, X0Clip::Dynamic { .. }) || (lo, hi) == (-1.0, 1.0),
            "x0_clip",
            "dynamic".into(),
            format!("maps into [-1, 1], and value_range is [{lo}, {hi}]"),
        )?;
        for (index, label) in self.labels.iter().enumerate() {
            let other = label.parse().is_ok_and(|i: usize| i != index && (i as i64) < self.num_classes);
            require(
                !other,
                "labels",
                label.clone(),
                format!("names class {index} by another class's index"),
            )?;
        }
        require(
            self.norm_eps.is_finite() && self.norm_eps > 0.0,
            "norm_eps",
            self.norm_eps.to_string(),
            "must be above 0".into(),
        )
    }

    /// The class of a label, whatever its case, or of an index.
    pub fn class(&self, name: &str) -> Option<i64> {
        let by_label = self.labels.iter().position(|l| l.eq_ignore_ascii_case(name)).map(|i| i as i64);
        by_label.or_else(|| name.parse().ok().filter(|i| (0..self.num_classes).contains(i)))
    }

    /// The name of a class: its label, or its number where it has none.
    pub fn class_name(&self, class: i64) -> String {
        usize::try_from(class)
            .ok()
            .and_then(|c| self.labels.get(c))
            .cloned()
            .unwrap_or_else(|| class.to_string())
    }
}
