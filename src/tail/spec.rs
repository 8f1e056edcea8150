//! The grammar of `--tail`: `head`, `residual`.

use std::fmt;
use std::str::FromStr;

use super::{Head, Residual, Tail};

/// A tail, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TailSpec {
    /// The backbone's own final layer.
    #[default]
    Head,
    /// The last full evaluation's residual.
    Residual,
}

/// Why a tail cannot be made from what was typed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TailSpecError {
    /// No such tail.
    #[error("unknown tail {got:?}: there are head and residual")]
    Unknown {
        /// What was typed.
        got: String,
    },
}

impl FromStr for TailSpec {
    type Err = TailSpecError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "head" => Ok(Self::Head),
            "residual" => Ok(Self::Residual),
            _ => Err(TailSpecError::Unknown { got: s.into() }),
        }
    }
}

impl fmt::Display for TailSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "head",
            Self::Residual => "residual",
        })
    }
}

impl TailSpec {
    /// Makes the tail.
    pub fn build(&self) -> Box<dyn Tail> {
        match self {
            Self::Head => Box::new(Head),
            Self::Residual => Box::new(Residual),
        }
    }
}
