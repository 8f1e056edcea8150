//! Scales: from numbers to coordinates, with ticks at round values.

use super::number::{fixed, significant};

/// A linear or logarithmic axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    log: bool,
    domain: (f64, f64),
    range: (f64, f64),
}

/// A span of more than this factor is drawn logarithmically.
const LOG_FROM: f64 = 6.0;

impl Scale {
    /// Holds all `values` with some room; logarithmic where they are positive and spread out.
    pub fn fit(values: &[f64], range: (f64, f64)) -> Self {
        let positive = |v: &f64| v.is_finite() && *v > 0.0;
        let low = values.iter().copied().filter(positive).fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().filter(positive).fold(0.0, f64::max);
        match Self::log(values, range) {
            Some(log) if values.iter().all(positive) && high > LOG_FROM * low => log,
            _ => Self::fit_linear(values, range),
        }
    }

    /// The same, always linear; from zero where that is near.
    pub fn fit_linear(values: &[f64], range: (f64, f64)) -> Self {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let (low, high) =
            (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        if !(low.is_finite() && high.is_finite()) {
            return Self::linear((0.0, 1.0), range);
        }
        let room = if high > low { 0.06 * (high - low) } else { low.abs().max(1.0) * 0.1 };
        // Near zero an axis may as well begin there.
        let from = if low >= 0.0 && low < 0.2 * high { 0.0 } else { low - room };
        Self::linear((from, high + room), range)
    }

    /// Linear, exactly over a domain.
    pub fn linear(domain: (f64, f64), range: (f64, f64)) -> Self {
        Self { log: false, domain, range }
    }

    /// Logarithmic, over positive `values`.
    pub fn log(values: &[f64], range: (f64, f64)) -> Option<Self> {
        let positive = || values.iter().copied().filter(|v| v.is_finite() && *v > 0.0);
        let (low, high) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
        let room = if high > low { (high / low).powf(0.04) } else { 2.0 };
        (high > 0.0).then_some(Self { log: true, domain: (low / room, high * room), range })
    }

    /// The coordinate of a value.
    pub fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value / self.domain.0).ln() / (self.domain.1 / self.domain.0).ln()
        } else {
            (value - self.domain.0) / (self.domain.1 - self.domain.0)
        };
        self.range.0 + share * (self.range.1 - self.range.0)
    }

    /// The value inside the domain that is nearest.
    #[cfg(feature = "bench")]
    pub fn clamp(&self, value: f64) -> f64 {
        value.clamp(self.domain.0, self.domain.1)
    }

    /// Whether a value is inside.
    pub fn holds(&self, value: f64) -> bool {
        (self.domain.0..=self.domain.1).contains(&value)
    }

    /// Whether it is logarithmic.
    pub fn is_log(&self) -> bool {
        self.log
    }

    /// About `wanted` round values with their texts.
    pub fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        if self.log { self.log_ticks(wanted) } else { self.linear_ticks(wanted) }
    }

    fn linear_ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let (low, high) = self.domain;
        let rough = (high - low) / wanted.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough);
        let step = step.unwrap_or(10.0 * power);
        let decimals = (0..12).find(|d| is_whole(step * 10f64.powi(*d))).unwrap_or(12) as usize;
        let first = (low / step).ceil() as i64;
        let last = (high / step).floor() as i64;
        (first..=last)
            .map(|k| {
                let value = k as f64 * step;
                (value, fixed(value, decimals))
            })
            .collect()
    }

    fn log_ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let (low, high) = self.domain;
        let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let of = |multiples: &[f64]| -> Vec<f64> {
            let all = powers.clone().flat_map(|p| multiples.iter().map(move |m| m * 10f64.powi(p)));
            all.filter(|v| self.holds(*v)).collect()
        };
        let choices: [&[f64]; 4] =
            [&[1.0], &[1.0, 3.0], &[1.0, 2.0, 5.0], &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]];
        let mut ticks = choices.map(of).into_iter().filter(|t| t.len() <= 2 * wanted).max_by_key(Vec::len);
        // Many decades: every second, third, …
        if ticks.as_ref().is_none_or(Vec::is_empty) {
            let decades = of(&[1.0]);
            let every = decades.len().div_ceil(wanted.max(1)).max(1);
            ticks = Some(decades.into_iter().step_by(every).collect());
        }
        ticks.unwrap_or_default().into_iter().map(|v| (v, trimmed(&significant(v, 2)))).collect()
    }
}

/// `2.0` says no more than `2`, nor `0.20` than `0.2`.
fn trimmed(text: &str) -> String {
    let (number, exponent) = text.split_at(text.find('e').unwrap_or(text.len()));
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number}{exponent}")
}

fn is_whole(x: f64) -> bool {
    (x - x.round()).abs() < 1e-6 * x.abs().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: Scale, wanted: usize) -> Vec<String> {
        scale.ticks(wanted).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        let scale = Scale::linear((0.0, 61.0), (0.0, 100.0));
        assert_eq!(texts(scale, 6), ["0", "20", "40", "60"]);
        assert_eq!(texts(Scale::linear((-0.3, 0.26), (0.0, 1.0)), 5), ["−0.2", "0.0", "0.2"]);
        assert_eq!(scale.at(30.5), 50.0);
    }

    #[test]
    fn a_wide_span_is_logarithmic_and_a_narrow_one_is_not() {
        assert!(Scale::fit(&[1.0, 100.0], (0.0, 1.0)).is_log());
        assert!(!Scale::fit(&[20.0, 100.0], (0.0, 1.0)).is_log());
        assert!(!Scale::fit(&[-1.0, 100.0], (0.0, 1.0)).is_log());
        assert_eq!(
            texts(Scale::log(&[1e-4, 1.0], (0.0, 1.0)).unwrap(), 3),
            ["0.0001", "0.001", "0.01", "0.1", "1"]
        );
        // No two ticks of one text.
        let texts = texts(Scale::log(&[0.03, 1.0], (0.0, 1.0)).unwrap(), 6);
        assert!(texts.contains(&"0.15".to_owned()) && texts.contains(&"0.2".to_owned()), "{texts:?}");
        assert_eq!(trimmed("1.0e−9"), "1e−9");
        assert_eq!(trimmed("100"), "100");
    }

    #[test]
    fn one_value_and_no_value_still_have_an_axis() {
        for values in [&[5.0][..], &[0.0], &[], &[f64::NAN]] {
            let scale = Scale::fit(values, (0.0, 100.0));
            assert!(!scale.ticks(5).is_empty(), "{values:?}");
            assert!(scale.at(*values.first().unwrap_or(&0.5)).is_finite() || values[0].is_nan());
        }
    }
}
