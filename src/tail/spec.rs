//! The grammar of `--tail`: `head`, `heads`, `residual`.

use std::fmt;
use std::str::FromStr;

use super::{Head, Heads, Residual, Tail};
use crate::learned::LearnedExits;

/// A tail, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TailSpec {
    /// The backbone's own final layer.
    Head,
    /// The trained head of each exit.
    Heads,
    /// The last full evaluation's residual.
    Residual,
}

/// Why a tail cannot be made from what was typed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TailSpecError {
    /// No such tail.
    #[error("unknown tail {got:?}: there are head, heads and residual")]
    Unknown {
        /// What was typed.
        got: String,
    },
    /// The weights have no trained heads.
    #[error(
        "tail heads: {}",
        if *exits { "these weights' exits.safetensors has none; they share the final layer (tail head)" }
        else { "there is no exits.safetensors beside these weights" }
    )]
    NoHeads {
        /// Whether they have learned exits at all.
        exits: bool,
    },
}

impl FromStr for TailSpec {
    type Err = TailSpecError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "head" => Ok(Self::Head),
            "heads" => Ok(Self::Heads),
            "residual" => Ok(Self::Residual),
            _ => Err(TailSpecError::Unknown { got: s.into() }),
        }
    }
}

impl fmt::Display for TailSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "head",
            Self::Heads => "heads",
            Self::Residual => "residual",
        })
    }
}

impl TailSpec {
    /// Makes the tail; trained heads are those of `exits`, the model's.
    ///
    /// # Errors
    /// The model has no trained heads.
    pub fn build(&self, exits: Option<&LearnedExits>) -> Result<Box<dyn Tail>, TailSpecError> {
        match self {
            Self::Head => Ok(Box::new(Head)),
            Self::Heads => match exits.and_then(Heads::new) {
                Some(heads) => Ok(Box::new(heads)),
                None => Err(TailSpecError::NoHeads { exits: exits.is_some() }),
            },
            Self::Residual => Ok(Box::new(Residual)),
        }
    }

    /// Whether it is one of the model's learned exits.
    pub fn is_learned(&self) -> bool {
        *self == Self::Heads
    }
}
