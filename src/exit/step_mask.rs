//! `only=FIRST-LAST+…`: the evaluations at which images may leave early, from 0.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Evaluations, as typed: single ones and ranges, joined by `+`; a range without an end has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepMask(Vec<RangeInclusive<usize>>);

impl StepMask {
    /// Whether an evaluation is one of them.
    pub fn contains(&self, evaluation: usize) -> bool {
        self.0.iter().any(|range| range.contains(&evaluation))
    }
}

impl FromStr for StepMask {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse::<usize>().map_err(drop);
        let range = |word: &str| match word.split_once('-') {
            None => number(word).map(|only| only..=only),
            Some((first, "")) => Ok(number(first)?..=usize::MAX),
            Some((first, last)) => match (number(first)?, number(last)?) {
                (first, last) if first <= last => Ok(first..=last),
                _ => Err(()),
            },
        };
        Ok(Self(s.split('+').map(range).collect::<Result<_, _>>()?))
    }
}

impl fmt::Display for StepMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("+")?;
            }
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{first}")?,
                (first, &usize::MAX) => write!(f, "{first}-")?,
                (first, last) => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        for text in ["0", "3-7", "2-", "0+4-5+9-"] {
            assert_eq!(text.parse::<StepMask>().unwrap().to_string(), text);
        }
        for text in ["", "-3", "5-4", "1+", "x", "1-2-3", "1.5"] {
            assert!(text.parse::<StepMask>().is_err(), "{text}");
        }
        let mask: StepMask = "0+4-5+9-".parse().unwrap();
        let inside: Vec<usize> = (0..12).filter(|&e| mask.contains(e)).collect();
        assert_eq!(inside, [0, 4, 5, 9, 10, 11]);
    }
}
