//! The options that every exit takes: `min=DEPTH|SCHEDULE`, `max=DEPTH|SCHEDULE`, `warmup=COUNT`, `cap=COUNT`,
//! `only=EVALUATIONS`, `pair=max|mean|cond|apart`. [`Limited`](super::Limited) puts them around an exit.

use std::fmt;
use std::path::Path;

use super::{Edge, ExitSpecError, Pair, Schedule, StepMask, find_schedule};

/// A bound of the depth, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitSpec {
    /// Always the same.
    Depth(usize),
    /// A schedule's depth at the time, by name or file.
    Schedule(String),
}

/// Limits of an exit, whose depths are bounded by `E`: [`LimitSpec`] as typed, [`Edge`] when built. The default limits
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits<E> {
    /// Blocks that always run.
    pub min: Option<E>,
    /// Blocks after which an image leaves whatever the rule says.
    pub max: Option<E>,
    /// So many first evaluations run to the end.
    pub warmup: usize,
    /// After leaving early so many times in a row, an image runs to the end once.
    pub cap: Option<usize>,
    /// All other evaluations run to the end.
    pub only: Option<StepMask>,
    /// How the halves of a guided image agree; none as the rule has it, which for all that can be typed is
    /// [`Pair::Max`].
    pub pair: Option<Pair>,
}

/// Limits as typed.
pub type LimitsSpec = Limits<LimitSpec>;

impl<E> Default for Limits<E> {
    fn default() -> Self {
        Self { min: None, max: None, warmup: 0, cap: None, only: None, pair: None }
    }
}

impl<E> Limits<E> {
    /// Whether warm-up, cap or mask keep an evaluation to the end, of an image that left early `early` times since it
    /// last ran to the end.
    pub fn hold(&self, evaluation: usize, early: usize) -> bool {
        evaluation < self.warmup
            || self.cap.is_some_and(|cap| early >= cap)
            || self.only.as_ref().is_some_and(|only| !only.contains(evaluation))
    }
}

/// Why a limit cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// Not a whole number of blocks, nor a schedule.
    #[error("{key}={got:?} must be a whole number of blocks, from 1, or a schedule")]
    Depth {
        /// `min` or `max`.
        key: &'static str,
        /// What was given.
        got: String,
    },
    /// A count that is none.
    #[error("{key}={got:?} must be a whole number of evaluations, from 1")]
    Count {
        /// `warmup` or `cap`.
        key: &'static str,
        /// What was given.
        got: String,
    },
    /// Evaluations that are none.
    #[error("only={got:?} must be evaluations from 0, as 3, 2-7 or 5-, joined by +")]
    Only {
        /// What was given.
        got: String,
    },
    /// Not a rule for pairs.
    #[error("pair={got:?}: there are max, mean, cond and apart")]
    Pair {
        /// What was given.
        got: String,
    },
    /// An option twice.
    #[error("{key} is given twice")]
    Twice {
        /// The option.
        key: &'static str,
    },
    /// Bounds the wrong way round.
    #[error("min={min} lies behind max={max}")]
    Order {
        /// The least depth.
        min: usize,
        /// The greatest depth.
        max: usize,
    },
}

impl LimitSpec {
    /// What messages say that there is.
    pub(super) const OPTIONS: &str = "min=DEPTH|SCHEDULE, max=DEPTH|SCHEDULE, warmup=COUNT, cap=COUNT, \
                                      only=EVALUATIONS, pair=max|mean|cond|apart";

    fn parse(key: &'static str, text: &str) -> Result<Self, LimitError> {
        match text.parse::<f64>() {
            Ok(_) => match text.parse() {
                Ok(depth) if depth > 0 => Ok(Self::Depth(depth)),
                _ => Err(LimitError::Depth { key, got: text.into() }),
            },
            Err(_) if text.is_empty() => Err(LimitError::Depth { key, got: text.into() }),
            Err(_) => Ok(Self::Schedule(text.into())),
        }
    }

    fn build(&self, schedules: &Path) -> Result<Edge, ExitSpecError> {
        match self {
            Self::Depth(depth) => Ok(Edge::Depth(*depth)),
            Self::Schedule(name) => {
                Ok(Edge::Schedule(Box::new(Schedule::read(find_schedule(name, schedules)?)?)))
            }
        }
    }
}

impl fmt::Display for LimitSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth(depth) => write!(f, "{depth}"),
            Self::Schedule(name) => f.write_str(name),
        }
    }
}

impl LimitsSpec {
    /// Takes the options off the end of an exit as typed: the rule, and its limits.
    pub(super) fn split(s: &str) -> Result<(&str, Self), LimitError> {
        let (mut rest, mut options) = (s, vec![]);
        while let Some((before, word)) = rest.rsplit_once(',')
            && let Some((key, value)) = word.split_once('=')
            && let Some(key) =
                ["min", "max", "warmup", "cap", "only", "pair"].into_iter().find(|&known| known == key)
        {
            if options.iter().any(|(other, _)| *other == key) {
                return Err(LimitError::Twice { key });
            }
            options.push((key, value));
            rest = before;
        }
        let mut limits = Self::default();
        for (key, value) in options.into_iter().rev() {
            limits.set(key, value)?;
        }
        match (&limits.min, &limits.max) {
            (Some(LimitSpec::Depth(min)), Some(LimitSpec::Depth(max))) if min > max => {
                Err(LimitError::Order { min: *min, max: *max })
            }
            _ => Ok((rest, limits)),
        }
    }

    fn set(&mut self, key: &'static str, value: &str) -> Result<(), LimitError> {
        let count = || match value.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(LimitError::Count { key, got: value.into() }),
        };
        match key {
            // At least 1 always run.
            "min" => {
                self.min = Some(LimitSpec::parse(key, value)?).filter(|min| *min != LimitSpec::Depth(1));
            }
            "max" => self.max = Some(LimitSpec::parse(key, value)?),
            "warmup" => self.warmup = count()?,
            "cap" => self.cap = Some(count()?),
            "only" => {
                self.only = Some(value.parse().map_err(|()| LimitError::Only { got: value.into() })?);
            }
            _ => {
                let known = [Pair::Max, Pair::Mean, Pair::Conditional, Pair::Apart];
                let pair = known.into_iter().find(|pair| pair.name() == value);
                let pair = pair.ok_or_else(|| LimitError::Pair { got: value.into() })?;
                self.pair = Some(pair).filter(|pair| *pair != Pair::Max);
            }
        }
        Ok(())
    }

    /// The limits; schedules' names are looked up in `schedules`.
    ///
    /// # Errors
    /// There is no such schedule, or a bad one.
    pub fn build(&self, schedules: &Path) -> Result<Limits<Edge>, ExitSpecError> {
        let edge = |limit: &Option<LimitSpec>| limit.as_ref().map(|l| l.build(schedules)).transpose();
        Ok(Limits {
            min: edge(&self.min)?,
            max: edge(&self.max)?,
            warmup: self.warmup,
            cap: self.cap,
            only: self.only.clone(),
            pair: self.pair,
        })
    }
}

/// As typed, each behind a comma; defaults are left out.
impl fmt::Display for LimitsSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(min) = &self.min {
            write!(f, ",min={min}")?;
        }
        if let Some(max) = &self.max {
            write!(f, ",max={max}")?;
        }
        if self.warmup > 0 {
            write!(f, ",warmup={}", self.warmup)?;
        }
        if let Some(cap) = self.cap {
            write!(f, ",cap={cap}")?;
        }
        if let Some(only) = &self.only {
            write!(f, ",only={only}")?;
        }
        match self.pair {
            None => Ok(()),
            Some(pair) => write!(f, ",pair={}", pair.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_read_as_they_are_written() {
        for options in
            ["", ",min=2", ",max=brisk", ",min=3,max=3", ",min=swift,max=12,warmup=2,cap=3,only=4-,pair=mean"]
        {
            let typed = format!("rule:0.5{options}");
            let (rule, limits) = LimitsSpec::split(&typed).unwrap();
            assert_eq!((rule, limits.to_string().as_str()), ("rule:0.5", options));
        }
        // In another order; behind an option that is the rule's own.
        let (rule, limits) = LimitsSpec::split("rule:1,after=2,cap=1,min=4,pair=max").unwrap();
        assert_eq!((rule, limits.to_string().as_str()), ("rule:1,after=2", ",min=4,cap=1"));
        assert_eq!(LimitsSpec::split("full,min=1").unwrap(), ("full", LimitsSpec::default()));
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for (option, expected) in [
            ("min=0", "min=\"0\" must be a whole number of blocks"),
            ("max=1.5", "max=\"1.5\" must be a whole number of blocks"),
            ("max=-2", "max=\"-2\""),
            ("min=", "min=\"\""),
            ("warmup=0", "warmup=\"0\" must be a whole number of evaluations"),
            ("cap=many", "cap=\"many\""),
            ("only=3-1", "only=\"3-1\""),
            ("pair=both", "there are max, mean, cond and apart"),
            ("cap=1,cap=2", "cap is given twice"),
            ("min=5,max=4", "min=5 lies behind max=4"),
        ] {
            let error = LimitsSpec::split(&format!("full,{option}")).unwrap_err().to_string();
            assert!(error.contains(expected), "{option}: {error}");
        }
    }
}
