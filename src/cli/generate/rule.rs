//! Whether a rule that looks at the images ever had two answers. One that leaves every image at the first exit that it
//! may, or none before it must, costs its looking and is a fixed depth all the same: then its threshold is inert.

use std::fmt;

use offramp::learned::{LearnedExits, Quantity};
use offramp::{Sample, Sampler};
use serde::Serialize;

/// What a rule did, over the images of a run.
pub struct Rule {
    spec: String,
    compared: Compared,
    /// At each evaluation the first exit at which the rule may leave, and the one at which it must; none where it has
    /// no choice.
    choices: Vec<Option<[usize; 2]>>,
    /// Blocks of the backbone.
    depth: usize,
    /// Whether images must run to the end once before they may leave.
    tail_remembers: bool,
    evaluations: usize,
    left_at_first: usize,
    left_at_last: usize,
    /// The least and the greatest uncertainty, of the last exit that was asked about at each evaluation.
    range: [f32; 2],
}

/// The number that a threshold is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Compared {
    Uncertainty,
    Certainty,
    Probability,
    Change,
}

/// How a threshold does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Inert {
    AlwaysLeft,
    NeverLeft,
}

/// The numbers of a run that a threshold was compared with.
#[derive(Debug, PartialEq, Serialize)]
pub struct Scores {
    compared: Compared,
    evaluations: usize,
    least: f64,
    most: f64,
}

impl Compared {
    /// By the exit as typed. Samples carry uncertainties, whatever their policy compares.
    fn new(spec: &str, exits: Option<&LearnedExits>) -> Self {
        let estimator = exits.and_then(|exits| exits.config().estimator.as_ref());
        match spec.split_once(':').map_or(spec, |(name, _)| name) {
            "gate" => Self::Probability,
            "change" => Self::Change,
            "uncertainty" if estimator.is_some_and(|e| e.quantity == Quantity::Certainty) => Self::Certainty,
            _ => Self::Uncertainty,
        }
    }

    /// The numbers behind uncertainties between two.
    fn range(self, [least, most]: [f64; 2]) -> [f64; 2] {
        match self {
            Self::Certainty | Self::Probability => [1.0 - most, 1.0 - least],
            Self::Uncertainty | Self::Change => [least, most],
        }
    }
}

impl Rule {
    /// The sampler's own, which did nothing yet; `bounds` are the depths that it allows at each evaluation.
    pub fn new(sampler: &Sampler, bounds: &[[usize; 2]]) -> Self {
        let model = sampler.model();
        let (exit, depth) = (sampler.exit(), model.backbone.depth());
        let points = || model.backbone.exit_points().iter().map(|point| point.depth);
        let choice = |&[min, max]: &[usize; 2]| {
            let min = min.clamp(1, depth);
            let last = points().find(|&point| point >= max.clamp(min, depth))?;
            let first = points().find(|&point| point >= min && point < last && exit.decides_at(point))?;
            Some([first, last])
        };
        let spec = exit.spec();
        Self {
            compared: Compared::new(&spec, model.exits.as_ref()),
            spec,
            choices: bounds.iter().map(choice).collect(),
            depth,
            tail_remembers: sampler.tail().remembers(),
            evaluations: 0,
            left_at_first: 0,
            left_at_last: 0,
            range: [f32::INFINITY, f32::NEG_INFINITY],
        }
    }

    /// Adds a finished image.
    pub fn add(&mut self, sample: &Sample) {
        let mut forced = self.tail_remembers;
        for ((choice, &depth), score) in self.choices.iter().zip(&sample.depths).zip(&sample.uncertainties) {
            // Until it has run to the end, an image can't leave: that says nothing of the rule. Nor do numbers that
            // are not finite: there was nothing to compare.
            let counts = !forced;
            forced &= depth < self.depth;
            let (Some([first, last]), Some(score)) = (choice, score.filter(|s| s.is_finite() && counts))
            else {
                continue;
            };
            self.evaluations += 1;
            self.left_at_first += usize::from(depth <= *first);
            self.left_at_last += usize::from(depth >= *last);
            self.range = [self.range[0].min(score), self.range[1].max(score)];
        }
    }

    /// How the threshold does nothing, if it does.
    pub fn inert(&self) -> Option<Inert> {
        match self.evaluations {
            // Of one evaluation there is neither always nor never.
            0 | 1 => None,
            all if all == self.left_at_first => Some(Inert::AlwaysLeft),
            all if all == self.left_at_last => Some(Inert::NeverLeft),
            _ => None,
        }
    }

    /// What the threshold was compared with, if with anything.
    pub fn scores(&self) -> Option<Scores> {
        let [least, most] = self.compared.range(self.range.map(f64::from));
        (self.evaluations > 0).then_some(Scores {
            compared: self.compared,
            evaluations: self.evaluations,
            least,
            most,
        })
    }

    /// What there is to say of a threshold that does nothing.
    pub fn warning(&self) -> Option<String> {
        let (inert, scores, spec) = (self.inert()?, self.scores()?, &self.spec);
        let early = match self.choices.iter().flatten().all(|[_, last]| *last == self.depth) {
            true => "early",
            false => "before it had to",
        };
        Some(match inert {
            Inert::AlwaysLeft => {
                format!("{spec} always left at the first exit that it may ({scores}): the threshold is inert")
            }
            Inert::NeverLeft => {
                format!("{spec} never left {early} ({scores} at the last exit asked): the threshold is inert")
            }
        })
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uncertainty => "uncertainty",
            Self::Certainty => "certainty",
            Self::Probability => "probability",
            Self::Change => "change",
        })
    }
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compared, evaluations, .. } = self;
        let (least, most) = (short(self.least), short(self.most));
        write!(f, "{evaluations} evaluations, {compared} {least}")?;
        if least != most { write!(f, "–{most}") } else { Ok(()) }
    }
}

/// A number with three significant digits.
fn short(x: f64) -> String {
    let magnitude = if x == 0.0 { 0.0 } else { x.abs().log10().floor() };
    format!("{x:.*}", (2.0 - magnitude).clamp(0.0, 9.0) as usize)
}
