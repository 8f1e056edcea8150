//! A setting that is safe with a stated confidence: Learn-then-Test (Angelopoulos et al. 2021, arXiv 2110.01052) as CALM
//! uses it (Schuster et al. 2022, arXiv 2207.07061).
//!
//! An image's loss is 0 or 1, and the risk R of a setting is the share of images that would lose. Settings are fixed
//! beforehand and ordered from safe to fast. At each the hypothesis "R > α" is tested: k of n independent images lost,
//! and p = P(Bin(n, α) ≤ k) is the largest probability that so few do if it holds. Testing stops at the first p > ε, and
//! the last setting accepted before has R ≤ α with a probability of at least 1 − ε over calibration draws, whatever the
//! number of settings: to accept any unsafe one, the first unsafe one must have been accepted, a test that errs with
//! probability ε at most. The order need not be right for that; where it is not, testing only stops earlier.
//!
//! CALM's own p-value is Hoeffding's bound exp(−2n(α − R̂)²), for any loss in [0, 1]. For losses of 0 and 1 the binomial
//! tail is exact and much smaller: at α = 0.05, 0 of 300 give 2e-7 instead of 0.22.
//!
//! The images of one test must be independent, and none may have trained or tuned the policy; the same images may serve
//! every test. It is a statement on the share of new images, not on each.

use serde::{Deserialize, Serialize};

use super::CalibrateError;
use super::binomial;

/// What is promised: the risk is at most α, with confidence 1 − ε.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Promise {
    risk: f64,
    confidence: f64,
}

/// As in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    risk: f64,
    confidence: f64,
}

impl TryFrom<Unchecked> for Promise {
    type Error = CalibrateError;

    fn try_from(file: Unchecked) -> Result<Self, CalibrateError> {
        Self::new(file.risk, file.confidence)
    }
}

impl Promise {
    /// At most the share `risk` = α of images loses, with `confidence` = 1 − ε; both in (0, 1).
    ///
    /// # Errors
    /// One is not.
    pub fn new(risk: f64, confidence: f64) -> Result<Self, CalibrateError> {
        for (name, got) in [("risk", risk), ("confidence", confidence)] {
            if !(got > 0.0 && got < 1.0) {
                return Err(CalibrateError::Number { name, expected: "above 0 and below 1", got });
            }
        }
        Ok(Self { risk, confidence })
    }

    /// α, the most of all images that may lose.
    pub fn risk(&self) -> f64 {
        self.risk
    }

    /// 1 − ε, how sure of that the answer is.
    pub fn confidence(&self) -> f64 {
        self.confidence
    }

    /// P(Bin(n, α) ≤ k), the largest probability of as few losses if the risk is above α; 1 of no images.
    pub fn p_value(&self, losses: Losses) -> f64 {
        binomial::at_most(losses.failures, losses.images, self.risk)
    }

    /// Whether losses are so few that the risk is taken to be at most α: p ≤ ε.
    pub fn accepts(&self, losses: Losses) -> bool {
        self.p_value(losses) <= 1.0 - self.confidence
    }

    /// The fewest images with which a setting can pass at all, by losing none: the least n with (1 − α)ⁿ ≤ ε.
    pub fn least_images(&self) -> u64 {
        let passes = |n: u64| self.accepts(Losses { failures: 0, images: n });
        let estimate = (1.0 - self.confidence).ln() / (-self.risk).ln_1p();
        // The estimate is right but for its rounding; beyond 2⁵³ numbers have no neighbours.
        let mut n = estimate.ceil().clamp(1.0, 2f64.powi(53)) as u64;
        while n > 1 && passes(n - 1) {
            n -= 1;
        }
        while n < 1 << 53 && !passes(n) {
            n += 1;
        }
        n
    }

    /// The most of `images` that may lose for a setting to pass; none where even zero are too many. A rollout that has
    /// seen more may stop.
    pub fn most_failures(&self, images: u64) -> Option<u64> {
        let passes = |failures: u64| self.accepts(Losses { failures, images });
        let (mut most, mut too_many) = (passes(0).then_some(0)?, images);
        while too_many - most > 1 {
            let failures = most + (too_many - most) / 2;
            if passes(failures) { most = failures } else { too_many = failures }
        }
        Some(most)
    }

    /// Tests settings 0, 1, … `settings` − 1 in this order, which goes from safe to fast and was fixed before the images
    /// were drawn. `losses` rolls a setting out; it is called once a setting, and not again after the first that fails.
    ///
    /// # Errors
    /// What `losses` refuses.
    pub fn fixed_sequence<E>(
        self,
        settings: usize,
        mut losses: impl FnMut(usize) -> Result<Losses, E>,
    ) -> Result<FixedSequence, E> {
        let mut tests = Vec::new();
        for setting in 0..settings {
            let losses = losses(setting)?;
            let accepted = self.accepts(losses);
            tests.push(Test { setting, losses, p_value: self.p_value(losses), accepted });
            if !accepted {
                break;
            }
        }
        Ok(FixedSequence { promise: self, tests })
    }
}

/// How many images lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Losses {
    failures: u64,
    images: u64,
}

impl Losses {
    /// `failures` of `images`.
    ///
    /// # Errors
    /// There are more failures than images.
    pub fn new(failures: u64, images: u64) -> Result<Self, CalibrateError> {
        match failures <= images {
            true => Ok(Self { failures, images }),
            false => Err(CalibrateError::Losses { failures, images }),
        }
    }

    /// k, images that lost.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// n, images in all.
    pub fn images(&self) -> u64 {
        self.images
    }
}

/// One for each image: whether it lost.
impl FromIterator<bool> for Losses {
    fn from_iter<I: IntoIterator<Item = bool>>(lost: I) -> Self {
        lost.into_iter().fold(Self { failures: 0, images: 0 }, |so_far, lost| Self {
            failures: so_far.failures + u64::from(lost),
            images: so_far.images + 1,
        })
    }
}

/// A setting that was tested.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Test {
    /// Which, from 0, the safest.
    pub setting: usize,
    /// What its rollout lost.
    #[serde(flatten)]
    pub losses: Losses,
    /// [`Promise::p_value`] of these.
    pub p_value: f64,
    /// Whether it is at most ε.
    pub accepted: bool,
}

/// All tests that were made, in order; at most the last was not passed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FixedSequence {
    /// What was tested for.
    pub promise: Promise,
    /// From the safest setting on.
    pub tests: Vec<Test>,
}

impl FixedSequence {
    /// The fastest setting that keeps the promise, with its test; none where not even the safest passed, and then only
    /// full depth is safe.
    pub fn accepted(&self) -> Option<&Test> {
        self.tests.iter().rfind(|test| test.accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(risk: f64, confidence: f64) -> Promise {
        Promise::new(risk, confidence).unwrap()
    }

    fn losses(failures: u64, images: u64) -> Losses {
        Losses::new(failures, images).unwrap()
    }

    #[test]
    fn so_many_images_are_needed_at_least() {
        for (risk, confidence, images) in [
            (0.05, 0.95, 59),
            (0.01, 0.95, 299),
            (0.05, 0.9, 45),
            (0.5, 0.75, 2),
            (0.9, 0.5, 1),
            (1e-6, 0.95, 2_995_731),
        ] {
            let promise = promise(risk, confidence);
            assert_eq!(promise.least_images(), images, "{promise:?}");
            assert!(promise.accepts(losses(0, images)) && !promise.accepts(losses(0, images - 1)));
            assert_eq!((promise.most_failures(images), promise.most_failures(images - 1)), (Some(0), None));
        }
        // 1 − ε beyond what numbers tell apart is still an answer.
        assert_eq!(promise(f64::MIN_POSITIVE, 0.95).least_images(), 1 << 53);
    }

    #[test]
    fn tests_go_on_to_the_first_that_fails_and_no_further() {
        // At α = 0.05, ε = 0.05 and n = 300, 8 failures give p = 0.0339 and 9 give 0.0650.
        let promise = promise(0.05, 0.95);
        assert_eq!(promise.most_failures(300), Some(8));
        let failures = [0, 3, 8, 9, 0];
        let mut called = Vec::new();
        let found = promise
            .fixed_sequence(failures.len(), |j| {
                called.push(j);
                Losses::new(failures[j], 300)
            })
            .unwrap();
        assert_eq!(called, [0, 1, 2, 3], "setting 4 would pass, and is not looked at");
        let accepted = found.accepted().unwrap();
        assert_eq!((accepted.setting, accepted.losses.failures(), accepted.losses.images()), (2, 8, 300));
        assert!((found.tests[3].p_value - 0.06496968086378971).abs() < 1e-13);
        assert_eq!(found.tests.iter().map(|t| t.accepted).collect::<Vec<_>>(), [true, true, true, false]);
    }

    #[test]
    fn nothing_may_pass() {
        let none = promise(0.05, 0.95).fixed_sequence(3, |_| Losses::new(0, 58)).unwrap();
        assert_eq!((none.accepted(), none.tests.len()), (None, 1));
        let empty = promise(0.05, 0.95).fixed_sequence(0, |_| Losses::new(0, 0)).unwrap();
        assert_eq!((empty.accepted(), empty.tests.len()), (None, 0));
        assert_eq!(promise(0.05, 0.95).p_value(losses(0, 0)), 1.0);
        let all = promise(0.05, 0.95).fixed_sequence(3, |_| Losses::new(0, 59)).unwrap();
        assert_eq!(all.accepted().unwrap().setting, 2);
    }

    #[test]
    fn a_failed_rollout_ends_the_tests() {
        let refused = promise(0.05, 0.95)
            .fixed_sequence(3, |j| if j == 1 { Err("out of disk") } else { Ok(losses(0, 99)) });
        assert_eq!(refused, Err("out of disk"));
    }

    #[test]
    fn an_image_loses_or_not() {
        assert_eq!([true, false, false].into_iter().collect::<Losses>(), losses(1, 3));
        assert!(matches!(Losses::new(4, 3), Err(CalibrateError::Losses { failures: 4, images: 3 })));
    }

    #[test]
    fn is_read_as_it_is_written() {
        let text = serde_json::to_string(&promise(0.05, 0.95)).unwrap();
        assert_eq!(text, r#"{"risk":0.05,"confidence":0.95}"#);
        assert_eq!(serde_json::from_str::<Promise>(&text).unwrap(), promise(0.05, 0.95));
        for text in [r#"{"risk":0,"confidence":0.9}"#, r#"{"risk":0.1,"confidence":1}"#, r#"{"risk":0.1}"#] {
            assert!(serde_json::from_str::<Promise>(text).is_err(), "{text}");
        }
        let found = promise(0.05, 0.95).fixed_sequence(1, |_| Losses::new(1, 4)).unwrap();
        let json = serde_json::to_value(found.tests[0]).unwrap();
        assert_eq!(
            (&json["failures"], &json["images"], &json["accepted"]),
            (&1.into(), &4.into(), &false.into())
        );
    }

    #[test]
    fn no_other_promise_is_given() {
        for (risk, confidence, name) in [
            (0.0, 0.9, "risk"),
            (1.0, 0.9, "risk"),
            (f64::NAN, 0.9, "risk"),
            (0.1, 0.0, "confidence"),
            (0.1, 1.0, "confidence"),
        ] {
            let refused = Promise::new(risk, confidence).unwrap_err().to_string();
            assert!(refused.starts_with(name), "{refused}");
        }
    }
}
