//! The grammar of `--tail`: `head`, `heads`, `residual[:over=heads]`, `forecast:ORDER[,over=heads]`.

use std::fmt;
use std::str::FromStr;

use super::{Forecast, Head, Heads, MAX_ORDER, Tail};
use crate::learned::LearnedExits;

/// A tail, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TailSpec {
    /// The backbone's own final layer.
    Head,
    /// The trained head of each exit.
    Heads,
    /// The last full evaluations' residuals, carried on.
    Forecast {
        /// Order of the polynomial; 0 is the last residual as it was.
        order: usize,
        /// Whether trained heads are corrected by them, or the shared one.
        over_heads: bool,
    },
}

/// Why a tail cannot be made from what was typed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TailSpecError {
    /// No such tail.
    #[error("unknown tail {got:?}: there are head, heads, residual and forecast:ORDER")]
    Unknown {
        /// What was typed.
        got: String,
    },
    /// `forecast:` without an order that there is.
    #[error("tail forecast:{got}: the order must be 0 to {MAX_ORDER}")]
    Order {
        /// What stood behind the colon.
        got: String,
    },
    /// An option that there is not.
    #[error("tail {tail}: no option {got:?}; there is over=heads (or over=head)")]
    Option {
        /// The tail.
        tail: &'static str,
        /// What was given.
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
        let over = |tail, option: Option<&str>| match option {
            None | Some("over=head") => Ok(false),
            Some("over=heads") => Ok(true),
            Some(got) => Err(TailSpecError::Option { tail, got: got.into() }),
        };
        let (name, rest) = s.split_once(':').map_or((s, None), |(name, rest)| (name, Some(rest)));
        match (name, rest) {
            ("head", None) => Ok(Self::Head),
            ("heads", None) => Ok(Self::Heads),
            ("residual", option) => Ok(Self::Forecast { order: 0, over_heads: over("residual", option)? }),
            ("forecast", Some(rest)) => {
                let (order, option) = rest.split_once(',').map_or((rest, None), |(n, o)| (n, Some(o)));
                match order.parse() {
                    Ok(order) if order <= MAX_ORDER => {
                        Ok(Self::Forecast { order, over_heads: over("forecast", option)? })
                    }
                    _ => Err(TailSpecError::Order { got: order.into() }),
                }
            }
            _ => Err(TailSpecError::Unknown { got: s.into() }),
        }
    }
}

impl fmt::Display for TailSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("head"),
            Self::Heads => f.write_str("heads"),
            Self::Forecast { order: 0, over_heads: false } => f.write_str("residual"),
            Self::Forecast { order: 0, over_heads: true } => f.write_str("residual:over=heads"),
            Self::Forecast { order, over_heads: false } => write!(f, "forecast:{order}"),
            Self::Forecast { order, over_heads: true } => write!(f, "forecast:{order},over=heads"),
        }
    }
}

impl TailSpec {
    /// Makes the tail; trained heads are those of `exits`, the model's.
    ///
    /// # Errors
    /// The model has no trained heads.
    pub fn build(&self, exits: Option<&LearnedExits>) -> Result<Box<dyn Tail>, TailSpecError> {
        let heads = || exits.and_then(Heads::new).ok_or(TailSpecError::NoHeads { exits: exits.is_some() });
        match self {
            Self::Head => Ok(Box::new(Head)),
            Self::Heads => Ok(Box::new(heads()?)),
            Self::Forecast { order, over_heads: false } => Ok(Box::new(Forecast::new(*order))),
            Self::Forecast { order, over_heads: true } => Ok(Box::new(Forecast::new(*order).over(heads()?))),
        }
    }

    /// Whether it asks the model's learned exits.
    pub fn is_learned(&self) -> bool {
        matches!(self, Self::Heads | Self::Forecast { over_heads: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        for text in
            ["head", "heads", "residual", "residual:over=heads", "forecast:1", "forecast:3,over=heads"]
        {
            assert_eq!(text.parse::<TailSpec>().unwrap().to_string(), text);
        }
        assert_eq!("forecast:0".parse::<TailSpec>().unwrap().to_string(), "residual");
        for (text, expected) in [
            ("forecast", "unknown tail"),
            ("heads:1", "unknown tail"),
            ("forecast:4", "0 to 3"),
            ("forecast:-1", "0 to 3"),
            ("forecast:1,under=heads", "no option \"under=heads\""),
            ("residual:over=feet", "no option \"over=feet\""),
        ] {
            let error = text.parse::<TailSpec>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
