//! Whether a rule that looks at the images ever had two answers. One that leaves every image at the first exit that it
//! may, or none before it must, costs its looking and is a fixed depth all the same: then its threshold is inert.

use std::fmt;

use offramp::exit::{Bounds, ExitSpec, LimitsSpec, Pair, Rule};
use offramp::learned::{LearnedExits, Quantity};
use offramp::solver::Evaluation;
use offramp::{Sample, Sampler};
use serde::Serialize;

/// What a rule did where it had a choice, over the images of a run.
pub struct Choices {
    spec: String,
    compared: Compared,
    /// As typed: those inside a calibrated exit's file are not known here.
    limits: LimitsSpec,
    pair: Pair,
    evaluations: Vec<Choice>,
    /// Blocks of the backbone.
    depth: usize,
    /// Whether a row must run to the end once before it may leave.
    tail_remembers: bool,
    /// How many there were.
    made: usize,
    left_at_first: usize,
    left_at_last: usize,
    /// Whether no row of any image left before the end.
    all_full: bool,
    /// The least and the greatest uncertainty, of the last exit that was asked about at each evaluation.
    range: [f32; 2],
}

/// What there is to choose at one evaluation.
struct Choice {
    /// The first exit at which the rule may leave, and the one at which it must; none where that is the same.
    exits: Option<[usize; 2]>,
    /// Whether guidance acts.
    guided: bool,
}

/// The number that a threshold is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Compared {
    Uncertainty,
    Certainty,
    Probability,
    Similarity,
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
    /// Samples carry uncertainties, whatever their rule compares.
    fn new(rule: &Rule, exits: Option<&LearnedExits>) -> Self {
        let estimator = exits.and_then(|exits| exits.config().estimator.as_ref());
        match rule {
            Rule::Uncertainty(_) if estimator.is_some_and(|e| e.quantity == Quantity::Certainty) => {
                Self::Certainty
            }
            Rule::Gate(_) => Self::Probability,
            Rule::Similarity(_) => Self::Similarity,
            Rule::Change(_) | Rule::Patience(_) => Self::Change,
            _ => Self::Uncertainty,
        }
    }

    /// The numbers behind uncertainties between two.
    fn range(self, [least, most]: [f64; 2]) -> [f64; 2] {
        match self {
            Self::Certainty | Self::Probability | Self::Similarity => [1.0 - most, 1.0 - least],
            Self::Uncertainty | Self::Change => [least, most],
        }
    }
}

impl Choices {
    /// Those of an exit in its sampler, before the first is made.
    pub fn new(exit: &ExitSpec, sampler: &Sampler, evaluations: &[Evaluation]) -> Self {
        let (model, guidance) = (sampler.model(), sampler.guidance());
        let points = || model.backbone.exit_points().iter().map(|point| point.depth);
        // What must agree several times in a row cannot leave before.
        let patience = if let Rule::Patience(patience) = &exit.rule { patience.count() } else { 0 };
        let choice = |(bounds, evaluation): (Bounds, &Evaluation)| {
            let last = points().find(|&point| point >= bounds.max);
            let asked =
                |last| points().filter(move |&p| p >= bounds.min && p < last && sampler.exit().decides_at(p));
            // Patience that no evaluation can exhaust leaves nowhere.
            let first = |last| asked(last).next().map(|_| asked(last).nth(patience).unwrap_or_default());
            let exits = last.and_then(|last| Some([first(last)?, last]));
            Choice { exits, guided: guidance.acts_at(evaluation.node.t) }
        };
        Self {
            spec: exit.to_string(),
            compared: Compared::new(&exit.rule, model.exits.as_ref()),
            limits: exit.limits.clone(),
            pair: sampler.exit().pair(),
            evaluations: sampler.bounds(evaluations).into_iter().zip(evaluations).map(choice).collect(),
            depth: model.backbone.depth(),
            tail_remembers: sampler.tail().remembers(),
            made: 0,
            left_at_first: 0,
            left_at_last: 0,
            all_full: true,
            range: [f32::INFINITY, f32::NEG_INFINITY],
        }
    }

    /// Adds a finished image.
    pub fn add(&mut self, sample: &Sample) {
        // In verify mode a depth may be that of the full pass which replaced the rule's draft.
        if sample.drafted > 0 {
            return;
        }
        self.all_full &= sample.cost >= sample.full_cost;
        // Which of the image's halves the tail knows; how often it left early since it last ran to the end.
        let (mut known, mut early) = ([!self.tail_remembers; 2], 0);
        for (e, (choice, &depth)) in self.evaluations.iter().zip(&sample.depths).enumerate() {
            let halves = 1 + usize::from(choice.guided && sample.class.is_some());
            // Who had to go on did not choose to.
            let forced = known[..halves].contains(&false) || self.limits.hold(e, early);
            if depth == self.depth {
                known[..halves].fill(true);
                early = 0;
            } else {
                early += 1;
            }
            // A number that is not finite was compared with nothing.
            let score = sample.uncertainties.get(e).copied().flatten().filter(|s| s.is_finite());
            let (Some([first, last]), Some(score), false) = (choice.exits, score, forced) else { continue };
            self.made += 1;
            self.left_at_first += usize::from(depth <= first);
            self.left_at_last += usize::from(depth >= last);
            self.range = [self.range[0].min(score), self.range[1].max(score)];
        }
    }

    /// How the threshold does nothing, if it does.
    pub fn inert(&self) -> Option<Inert> {
        // Of halves that leave apart only the deeper one's depth is known.
        let never = self.pair != Pair::Apart || self.all_full;
        match self.made {
            // Of one choice there is neither always nor never.
            0 | 1 => None,
            all if all == self.left_at_first => Some(Inert::AlwaysLeft),
            all if all == self.left_at_last && never => Some(Inert::NeverLeft),
            _ => None,
        }
    }

    /// What the threshold was compared with, if with anything.
    pub fn scores(&self) -> Option<Scores> {
        let [least, most] = self.compared.range(self.range.map(f64::from));
        let (compared, evaluations) = (self.compared, self.made);
        (self.made > 0).then_some(Scores { compared, evaluations, least, most })
    }

    /// What there is to say of a threshold that does nothing.
    pub fn warning(&self) -> Option<String> {
        let (inert, scores, spec) = (self.inert()?, self.scores()?, &self.spec);
        let to_the_end = |choice: &Choice| choice.exits.is_none_or(|[_, last]| last == self.depth);
        let early = match self.evaluations.iter().all(to_the_end) {
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
            Self::Similarity => "similarity",
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
