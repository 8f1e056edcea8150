//! The grammar of `THRESHOLD[,min=DEPTH][,max=DEPTH]`, which learned policies share.

use std::fmt;
use std::str::FromStr;

use super::{Bounds, ExitError, ModelFacts};

/// A number from 0 to 1 to compare with, and the depths between which that is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    value: f64,
    min: usize,
    max: Option<usize>,
}

/// A value is never NaN.
impl Eq for Threshold {}

/// Why there is no such threshold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThresholdError {
    /// A value that is no number from 0 to 1.
    #[error("the threshold {got:?} must be a number from 0 to 1")]
    Value {
        /// What was given.
        got: String,
    },
    /// A depth that is none.
    #[error("{key}={got:?} must be a whole number of blocks, from 1")]
    Depth {
        /// `min` or `max`.
        key: &'static str,
        /// What was given.
        got: String,
    },
    /// Bounds the wrong way round.
    #[error("min={min} lies behind max={max}")]
    Order {
        /// The least depth.
        min: usize,
        /// The greatest depth.
        max: usize,
    },
    /// An option that there is not.
    #[error("no option {got:?}; there are min=DEPTH and max=DEPTH")]
    Option {
        /// What was given.
        got: String,
    },
    /// An option twice.
    #[error("{key} is given twice")]
    Twice {
        /// The option.
        key: &'static str,
    },
}

impl Threshold {
    /// A threshold from 0 to 1 at every depth.
    ///
    /// # Errors
    /// It is not.
    pub fn new(value: f64) -> Result<Self, ThresholdError> {
        match (0.0..=1.0).contains(&value) {
            // Minus zero is zero.
            true => Ok(Self { value: value.abs(), min: 1, max: None }),
            false => Err(ThresholdError::Value { got: value.to_string() }),
        }
    }

    /// Runs at least `depth` blocks.
    ///
    /// # Errors
    /// 0, or more than the greatest depth.
    pub fn min(self, depth: usize) -> Result<Self, ThresholdError> {
        Self { min: depth, ..self }.checked("min", depth)
    }

    /// Runs at most `depth` blocks, whatever the number says.
    ///
    /// # Errors
    /// 0, or less than the least depth.
    pub fn max(self, depth: usize) -> Result<Self, ThresholdError> {
        Self { max: Some(depth), ..self }.checked("max", depth)
    }

    fn checked(self, key: &'static str, depth: usize) -> Result<Self, ThresholdError> {
        match self.max {
            _ if depth == 0 => Err(ThresholdError::Depth { key, got: "0".into() }),
            Some(max) if self.min > max => Err(ThresholdError::Order { min: self.min, max }),
            _ => Ok(self),
        }
    }

    /// The number to compare with.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The depths between which it is compared, in a backbone of `depth` blocks.
    pub(super) fn bounds(&self, depth: usize) -> Bounds {
        Bounds { min: self.min, max: self.max.unwrap_or(depth) }
    }

    /// Refuses bounds that the backbone does not have.
    pub(super) fn check(&self, exit: &str, model: &ModelFacts) -> Result<(), ExitError> {
        match [Some(self.min), self.max].into_iter().flatten().find(|&d| d > model.depth) {
            Some(asked) => Err(ExitError::Depth { exit: exit.into(), asked, depth: model.depth }),
            None => Ok(()),
        }
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut words = s.split(',');
        let value = words.next().unwrap_or_default();
        let refuse = || ThresholdError::Value { got: value.into() };
        let mut threshold = Self::new(value.parse().map_err(|_| refuse())?).map_err(|_| refuse())?;
        let mut given = [false; 2];
        for word in words {
            let (place, key, value) = match word.split_once('=') {
                Some(("min", value)) => (0, "min", value),
                Some(("max", value)) => (1, "max", value),
                _ => return Err(ThresholdError::Option { got: word.into() }),
            };
            if std::mem::replace(&mut given[place], true) {
                return Err(ThresholdError::Twice { key });
            }
            let depth = value.parse().map_err(|_| ThresholdError::Depth { key, got: value.into() })?;
            threshold = if key == "min" { threshold.min(depth)? } else { threshold.max(depth)? };
        }
        Ok(threshold)
    }
}

/// As typed; defaults are left out.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.value)?;
        if self.min != 1 {
            write!(f, ",min={}", self.min)?;
        }
        match self.max {
            Some(max) => write!(f, ",max={max}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        for text in ["0", "0.25", "1", "0.5,min=2", "0.5,max=7", "0.125,min=3,max=3"] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), text);
        }
        assert_eq!("0.5,max=7,min=1".parse::<Threshold>().unwrap().to_string(), "0.5,max=7");
        assert_eq!("-0".parse::<Threshold>().unwrap().to_string(), "0");
        assert_eq!("0.5,min=2".parse::<Threshold>().unwrap().bounds(9), Bounds { min: 2, max: 9 });
        assert_eq!("0.5,max=4".parse::<Threshold>().unwrap().bounds(9), Bounds { min: 1, max: 4 });
    }
}
