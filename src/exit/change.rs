//! `change:THRESHOLD[,after=K]`: the rule of first-block caches (ParaAttention, cache-dit; the
//! threshold there is 0.05 to 0.12), decided for each image instead of for the batch.
//!
//! After block K it looks at what the first K blocks added, r = L_K − L_0, and compares it with what they
//! added at the image's last full evaluation:
//!
//! `change = mean|r − r_last| / mean|r_last|`
//!
//! Below the threshold the image leaves there; otherwise it runs to the end, and r is kept. It is meant for a
//! tail that reuses what the skipped blocks did then ([`Residual`](crate::tail::Residual)); with `head` it is
//! allowed, and says when an image's first blocks do the same as before. `cap=M` ([`Limits`](super::Limits)) runs it to
//! the end at the latest after M reuses in a row.

use std::fmt;
use std::str::FromStr;

use tch::{Kind, Tensor};

use super::{Bounds, Departure, Exit, ExitError, Moment, RunFacts, Verdict, View};
use crate::backbone::row_index;

/// Leaves after `after` blocks when they do about the same as at the image's last full evaluation.
///
/// Its uncertainty is the change: infinite until the image (a guided one: each half) has run to the end, which
/// is `null` in a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    threshold: f64,
    after: usize,
}

/// A threshold is never NaN.
impl Eq for Change {}

/// Why such a policy cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// A threshold that is no number from 0.
    #[error("the threshold {got:?} must be a number from 0 (0 never leaves, inf always)")]
    Threshold {
        /// What was given.
        got: String,
    },
    /// A count that is none.
    #[error("after={got:?} must be a whole number of blocks, from 1")]
    After {
        /// What was given.
        got: String,
    },
    /// An option that there is not.
    #[error("no option {got:?}; there are after=BLOCKS and {}", super::LimitSpec::OPTIONS)]
    Option {
        /// What was given.
        got: String,
    },
    /// An option twice.
    #[error("after is given twice")]
    Twice,
}

/// Where a row's memory holds r of its last full evaluation.
const LAST: usize = 0;
/// Where it holds r of the evaluation under way.
const NOW: usize = 1;

impl Change {
    /// Leaves after block 1 below `threshold`, which may be infinite.
    pub fn new(threshold: f64) -> Result<Self, ChangeError> {
        if threshold.is_nan() || threshold < 0.0 {
            return Err(ChangeError::Threshold { got: threshold.to_string() });
        }
        // Minus zero is zero.
        Ok(Self { threshold: threshold.abs(), after: 1 })
    }

    /// Looks, and leaves, after `blocks` blocks.
    pub fn after(self, blocks: usize) -> Result<Self, ChangeError> {
        match blocks {
            0 => Err(ChangeError::After { got: "0".into() }),
            after => Ok(Self { after, ..self }),
        }
    }
}

impl FromStr for Change {
    type Err = ChangeError;

    /// What stands behind `change:`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut words = s.split(',');
        let threshold = words.next().unwrap_or_default();
        let number = threshold.parse().map_err(|_| ChangeError::Threshold { got: threshold.into() })?;
        let mut change = Change::new(number)?;
        let mut given = false;
        for word in words {
            let Some(value) = word.strip_prefix("after=") else {
                return Err(ChangeError::Option { got: word.into() });
            };
            if std::mem::replace(&mut given, true) {
                return Err(ChangeError::Twice);
            }
            change = change.after(value.parse().map_err(|_| ChangeError::After { got: value.into() })?)?;
        }
        Ok(change)
    }
}

/// What stands behind `change:`; defaults are left out.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.threshold)?;
        match self.after {
            1 => Ok(()),
            after => write!(f, ",after={after}"),
        }
    }
}

impl Exit for Change {
    fn spec(&self) -> String {
        format!("change:{self}")
    }

    fn check(&self, run: &RunFacts) -> Result<(), ExitError> {
        let leaves_something = self.after < run.depth;
        match leaves_something && run.exits.iter().any(|point| point.depth == self.after) {
            true => Ok(()),
            false => Err(ExitError::NoExitPoint {
                exit: self.spec(),
                asked: self.after,
                points: run.exits.iter().map(|p| p.depth).filter(|&d| d < run.depth).collect(),
            }),
        }
    }

    fn bounds(&self, moment: &Moment) -> Bounds {
        Bounds { min: self.after, max: moment.depth }
    }

    fn decides_at(&self, depth: usize) -> bool {
        depth == self.after
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        let added = view.hidden.f_sub(&(view.embedded)()?)?; // [R, T, D]
        let changes = relative_changes(&added, &view.rows.iter().map(|r| r.get(LAST)).collect::<Vec<_>>())?;
        let mut verdicts = Vec::with_capacity(changes.len());
        for (row, change) in changes.into_iter().enumerate() {
            view.rows[row].keep(NOW, added.f_get(row as i64)?);
            verdicts.push(Verdict::below(change, self.threshold));
        }
        Ok(Some(verdicts))
    }

    fn left(&self, departure: &mut Departure) -> Result<(), ExitError> {
        for (row, &at) in departure.rows.iter_mut().zip(departure.at) {
            if let Some(now) = row.take(NOW).filter(|_| at == departure.depth) {
                row.keep(LAST, now.f_alias_copy()?);
            }
        }
        Ok(())
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(*self)
    }
}

/// mean|r − r_last| / mean|r_last| of each row of `now`, `[R, T, D]`; infinite where there is no r_last.
fn relative_changes(now: &Tensor, last: &[Option<&Tensor>]) -> Result<Vec<f32>, ExitError> {
    let mut changes = vec![f32::INFINITY; last.len()];
    let known: Vec<usize> = (0..last.len()).filter(|&row| last[row].is_some()).collect();
    if known.is_empty() {
        return Ok(changes);
    }
    let now = match known.len() == last.len() {
        true => now.shallow_clone(),
        false => now.f_index_select(0, &row_index(&known, now)?)?,
    };
    let last =
        Tensor::f_stack(&last.iter().copied().flatten().collect::<Vec<_>>(), 0)?.f_to_kind(Kind::Float)?;
    let difference = now.f_to_kind(Kind::Float)?.f_sub(&last)?;
    let sizes = Tensor::f_stack(&[difference, last], 0)?.f_abs()?; // [2, R, T, D]
    let means = sizes.f_flatten(2, -1)?.f_mean_dim(-1, false, Kind::Float)?.f_to(tch::Device::Cpu)?; // [2, R]
    let means = Vec::<f32>::try_from(means.f_flatten(0, -1)?)?;
    let (differences, lasts) = means.split_at(known.len());
    for (place, &row) in known.iter().enumerate() {
        // Of nothing, nothing is no change.
        changes[row] = match differences[place] {
            0.0 => 0.0,
            difference => difference / lasts[place],
        };
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_relative_to_what_was_kept() {
        let now = Tensor::from_slice(&[1.5f32, -3.0, 2.0, 2.0, 0.0, 0.0, 0.0, 1.0]).view([4, 2, 1]);
        let last = [[1.0f32, -2.0], [0.0, 0.0], [0.0, 0.0]].map(|r| Tensor::from_slice(&r).view([2, 1]));
        let rows = [Some(&last[0]), None, Some(&last[1]), Some(&last[2])];
        assert_eq!(relative_changes(&now, &rows).unwrap(), [0.5, f32::INFINITY, 0.0, f32::INFINITY]);
    }
}
