//! `patience:COUNT[,change=SHARE]`: leave once so many exits in a row have said about the same as the one before (PABEE,
//! Zhou et al. 2020, arXiv 2006.04152, whose exits agree on a class; here they agree on the noise). No training.
//!
//! At every exit it works out g_i and compares, for each row, `mean|g_i − g_{i−1}| / mean|g_i|` with the share. Below it
//! the count goes up by one, else it starts again at zero; the first exit of an evaluation has nothing to compare
//! with. Working out g_i at every exit is this rule's price; block costs do not contain it.

use std::fmt;
use std::str::FromStr;

use tch::{Device, Kind, Tensor};

use super::{Departure, Exit, ExitError, LimitSpec, Verdict, View};

/// Leaves after COUNT agreements in a row.
///
/// Its uncertainty is the last change: infinite at the first exit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    count: usize,
    change: f64,
}

/// A change is never NaN.
impl Eq for Patience {}

/// Why there is no such patience.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatienceError {
    /// A count that is none.
    #[error("the count {got:?} must be a whole number from 1")]
    Count {
        /// What was given.
        got: String,
    },
    /// A change that is no positive number.
    #[error("change={got:?} must be a positive number")]
    Change {
        /// What was given.
        got: String,
    },
    /// An option that there is not.
    #[error("no option {got:?}; there are change=SHARE and {}", LimitSpec::OPTIONS)]
    Option {
        /// What was given.
        got: String,
    },
}

/// The change below which exits agree, unless another is asked for.
const AGREES: f64 = 0.05;

/// Where a row's memory holds g_{i−1}.
const LAST: usize = 0;

impl Patience {
    /// Leaves after `count` exits that each changed by less than `change`.
    ///
    /// # Errors
    /// `count` is 0; `change` is not a positive number.
    pub fn new(count: usize, change: f64) -> Result<Self, PatienceError> {
        match count {
            0 => Err(PatienceError::Count { got: "0".into() }),
            _ if change.is_nan() || change <= 0.0 => Err(PatienceError::Change { got: change.to_string() }),
            _ => Ok(Self { count, change }),
        }
    }

    /// How many exits must agree in a row.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl FromStr for Patience {
    type Err = PatienceError;

    /// What stands behind `patience:`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (count, option) = s.split_once(',').map_or((s, None), |(count, option)| (count, Some(option)));
        let number = count.parse().map_err(|_| PatienceError::Count { got: count.into() })?;
        let change = match option.map(|option| option.strip_prefix("change=").ok_or(option)) {
            None => AGREES,
            Some(Ok(change)) => change.parse().map_err(|_| PatienceError::Change { got: change.into() })?,
            Some(Err(option)) => return Err(PatienceError::Option { got: option.into() }),
        };
        Self::new(number, change)
    }
}

/// What stands behind `patience:`; the default is left out.
impl fmt::Display for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.change {
            AGREES => write!(f, "{}", self.count),
            change => write!(f, "{},change={change}", self.count),
        }
    }
}

impl Exit for Patience {
    fn spec(&self) -> String {
        format!("patience:{self}")
    }

    /// Each guidance half's agreements in a row.
    fn memory(&self) -> usize {
        2
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        let now = (view.head)()?.f_to_kind(Kind::Float)?; // [R, C or 2C, H, W]
        let mut verdicts = Vec::with_capacity(view.image.len());
        for row in 0..view.image.len() {
            let now = now.f_get(row as i64)?;
            let change = match view.rows[row].get(LAST) {
                Some(last) => relative_change(&now, last)?,
                None => f32::INFINITY,
            };
            let agreed = &mut view.memory[view.image[row]][view.half[row]];
            *agreed = if f64::from(change) < self.change { *agreed + 1.0 } else { 0.0 };
            let leave = *agreed >= self.count as f64;
            verdicts.push(Verdict { leave, uncertainty: change, limit: None });
            view.rows[row].keep(LAST, now);
        }
        Ok(Some(verdicts))
    }

    /// The next evaluation begins anew.
    fn left(&self, departure: &mut Departure) -> Result<(), ExitError> {
        departure.memory.fill(0.0);
        for row in departure.rows.iter_mut() {
            row.take(LAST);
        }
        Ok(())
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(*self)
    }
}

/// mean|now − last| / mean|now|; of nothing, nothing is no change.
fn relative_change(now: &Tensor, last: &Tensor) -> Result<f32, ExitError> {
    let sizes = Tensor::f_stack(&[now.f_sub(last)?, now.shallow_clone()], 0)?.f_abs()?.f_flatten(1, -1)?;
    let means = Vec::<f32>::try_from(sizes.f_mean_dim(-1, false, Kind::Float)?.f_to(Device::Cpu)?)?;
    Ok(if means[0] == 0.0 { 0.0 } else { means[0] / means[1] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        for text in ["1", "3", "2,change=0.1"] {
            assert_eq!(text.parse::<Patience>().unwrap().to_string(), text);
        }
        assert_eq!("2,change=0.05".parse::<Patience>().unwrap().to_string(), "2");
        for text in ["0", "-1", "x", "1,change=0", "1,change=nan", "1,other=2", "1,change=0.1,change=0.2"] {
            assert!(text.parse::<Patience>().is_err(), "{text}");
        }
    }

    #[test]
    fn changes_are_relative_to_what_is_said_now() {
        let tensor = |v: [f32; 2]| Tensor::from_slice(&v);
        assert_eq!(relative_change(&tensor([1.0, -3.0]), &tensor([0.5, -2.5])).unwrap(), 0.25);
        assert_eq!(relative_change(&tensor([0.0, 0.0]), &tensor([0.0, 0.0])).unwrap(), 0.0);
        assert_eq!(relative_change(&tensor([0.0, 0.0]), &tensor([1.0, 0.0])).unwrap(), f32::INFINITY);
    }
}
