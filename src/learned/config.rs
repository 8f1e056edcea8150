//! What a file of learned exits says of itself: for which weights, at which depths, and what they consist of.

use serde::{Deserialize, Serialize};

use crate::backbone::Config;

/// The version of the file that this crate writes and reads.
pub const VERSION: u32 = 1;

/// A description of learned exits, stored as JSON in the file's metadata under `exits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedConfig {
    /// [`VERSION`].
    pub version: u32,
    /// SHA-256 of the `model.safetensors` that they were trained on, hex.
    pub weights_sha256: String,
    /// Width D of a token.
    pub width: usize,
    /// Tokens of an image, `[h, w]`; T = h·w.
    pub grid: [usize; 2],
    /// Numbers of ε in a token's patch, p²·C.
    pub patch_outputs: usize,
    /// Depths that have learned parts, ascending; all below the backbone's N.
    pub points: Vec<usize>,
    /// What stands before the backbone's final layer at each of them.
    pub heads: HeadKind,
    /// What says how wrong the output would be, at each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimator: Option<EstimatorConfig>,
    /// What says whether to leave, at each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateConfig>,
}

/// How an exit's state is made ready for the backbone's final layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HeadKind {
    /// Not at all: the final layer takes it as it is.
    Shared,
    /// LayerNorm and one linear layer, token by token.
    Linear,
    /// LGViT's local perception: a depthwise 3×3 convolution over the token grid.
    Local,
    /// LGViT's global aggregation: attention over 2×2-pooled tokens.
    Global,
}

impl HeadKind {
    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Linear => "linear",
            Self::Local => "local",
            Self::Global => "global",
        }
    }
}

/// An estimator of the error that an exit makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EstimatorConfig {
    /// Its formula.
    pub kind: EstimatorKind,
    /// What its number means, which its kind settles.
    pub quantity: Quantity,
    /// Which error it was trained to tell.
    pub target: Target,
}

impl EstimatorConfig {
    /// An estimator of this kind, with the quantity that belongs to it.
    pub fn new(kind: EstimatorKind, target: Target) -> Self {
        Self { kind, quantity: kind.quantity(), target }
    }
}

/// The two published estimators of DeeDiff/AdaDiff (Tang et al., arXiv 2309.17074).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EstimatorKind {
    /// The paper's: one number a token, of the hidden state and the timestep embedding.
    Paper,
    /// The released code's: one number for each number of the token's patch, of the hidden state alone.
    Released,
}

impl EstimatorKind {
    /// What its number means.
    pub fn quantity(self) -> Quantity {
        match self {
            Self::Paper => Quantity::Uncertainty,
            Self::Released => Quantity::Certainty,
        }
    }

    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Released => "released",
        }
    }
}

/// What an estimator's number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Quantity {
    /// It stands for tanh|error|: leave where it is low.
    Uncertainty,
    /// It stands for 1 − tanh|error|: leave where it is high.
    Certainty,
}

impl Quantity {
    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uncertainty => "uncertainty",
            Self::Certainty => "certainty",
        }
    }
}

/// The error that an estimator was trained to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Target {
    /// |g_i − ε|: the papers', which no depth brings to zero.
    Noise,
    /// |g_i − g_N|: what leaving here changes.
    Full,
}

impl Target {
    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Full => "full",
        }
    }
}

/// A gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateConfig {
    /// Width of its hidden layer.
    pub hidden: usize,
}

/// A value of a description that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("exits: {field} = {value}: {reason}")]
pub struct ConfigFault {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub reason: String,
}

/// Above every published width, and far from overflow in any product of sizes.
const MAX_WIDTH: usize = 65_536;
const MAX_SIDE: usize = 16_384;
const MAX_DEPTH: usize = 1_024;
const MAX_PATCH: usize = 1 << 24;

/// The width of an attention head of [`HeadKind::Global`] in tokens at least as wide.
pub(super) const ATTENTION_HEAD: usize = 64;

impl LearnedConfig {
    /// The number of tokens, T.
    pub fn tokens(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// Checks each value, and those that must go together.
    ///
    /// # Errors
    /// The first that cannot be.
    pub fn check(&self) -> Result<(), ConfigFault> {
        let require = |holds: bool, field, value: String, reason: &str| match holds {
            true => Ok(()),
            false => Err(ConfigFault { field, value, reason: reason.into() }),
        };
        let size = |field, value: usize, max: usize| {
            require((1..=max).contains(&value), field, value.to_string(), &format!("must be 1 to {max}"))
        };
        require(
            self.version == VERSION,
            "version",
            self.version.to_string(),
            "this offramp reads version 1",
        )?;
        let sha = &self.weights_sha256;
        let is_sha = sha.len() == 64 && sha.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        require(is_sha, "weights_sha256", sha.clone(), "must be 64 digits of 0–9 and a–f")?;
        size("width", self.width, MAX_WIDTH)?;
        size("grid", self.grid[0], MAX_SIDE)?;
        size("grid", self.grid[1], MAX_SIDE)?;
        size("patch_outputs", self.patch_outputs, MAX_PATCH)?;
        let points = format!("{:?}", self.points);
        let ascending = self.points.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = self.points.iter().all(|p| (1..MAX_DEPTH).contains(p));
        let fine = !self.points.is_empty() && ascending && inside;
        require(fine, "points", points, "must be depths from 1, ascending, at least one")?;
        if self.heads == HeadKind::Global && self.width > ATTENTION_HEAD {
            let reason = format!("must be a multiple of {ATTENTION_HEAD} for global heads");
            require(self.width.is_multiple_of(ATTENTION_HEAD), "width", self.width.to_string(), &reason)?;
        }
        if let Some(EstimatorConfig { kind, quantity, .. }) = self.estimator {
            let reason = format!("a {} estimator gives {}", kind.name(), kind.quantity().name());
            let field = "estimator.quantity";
            require(quantity == kind.quantity(), field, quantity.name().into(), &reason)?;
        }
        match self.gate {
            Some(gate) => size("gate.hidden", gate.hidden, MAX_WIDTH),
            None => Ok(()),
        }
    }

    /// Checks that they fit a network: its width, its tokens, its patches and its depth.
    ///
    /// # Errors
    /// They do not.
    pub fn check_network(&self, network: &Config) -> Result<(), ConfigFault> {
        let side = network.input_size / network.patch_size;
        for (field, got, expected) in [
            ("width", vec![self.width], vec![network.hidden_size]),
            ("grid", self.grid.to_vec(), vec![side, side]),
            (
                "patch_outputs",
                vec![self.patch_outputs],
                vec![network.patch_size.pow(2) * network.in_channels],
            ),
        ] {
            if !got.iter().map(|&n| n as i64).eq(expected.iter().copied()) {
                let reason = format!("the network has {expected:?}");
                return Err(ConfigFault { field, value: format!("{got:?}"), reason });
            }
        }
        self.check_depth(network.depth)
    }

    /// Checks that all points lie before the end of a backbone of `depth` blocks.
    ///
    /// # Errors
    /// One does not.
    pub fn check_depth(&self, depth: usize) -> Result<(), ConfigFault> {
        match self.points.last() {
            Some(&last) if last >= depth => Err(ConfigFault {
                field: "points",
                value: format!("{:?}", self.points),
                reason: format!("the backbone has {depth} blocks, and exits lie before its end"),
            }),
            _ => Ok(()),
        }
    }
}
