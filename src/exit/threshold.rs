//! A number from 0 to 1 that a learned policy compares with.

use std::fmt;
use std::str::FromStr;

use super::LimitSpec;

/// A number from 0 to 1 to compare with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    value: f64,
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
    /// An option that there is not.
    #[error("no option {got:?}; there are {}", LimitSpec::OPTIONS)]
    Option {
        /// What was given.
        got: String,
    },
}

impl Threshold {
    /// A threshold from 0 to 1.
    ///
    /// # Errors
    /// It is not.
    pub fn new(value: f64) -> Result<Self, ThresholdError> {
        match (0.0..=1.0).contains(&value) {
            // Minus zero is zero.
            true => Ok(Self { value: value.abs() }),
            false => Err(ThresholdError::Value { got: value.to_string() }),
        }
    }

    /// The number to compare with.
    pub fn value(&self) -> f64 {
        self.value
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (value, options) = s.split_once(',').map_or((s, None), |(value, options)| (value, Some(options)));
        let refuse = || ThresholdError::Value { got: value.into() };
        let threshold = Self::new(value.parse().map_err(|_| refuse())?).map_err(|_| refuse())?;
        match options {
            None => Ok(threshold),
            Some(options) => Err(ThresholdError::Option { got: options.into() }),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        for text in ["0", "0.25", "1", "0.000125"] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), text);
        }
        assert_eq!("-0".parse::<Threshold>().unwrap().to_string(), "0");
    }
}
