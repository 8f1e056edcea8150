//! An exit whose threshold is yet to be found: on one axis for all rules, the uncertainty below which images leave.

use std::ops::RangeInclusive;

use offramp::exit::ExitSpec;
use offramp::learned::{LearnedExits, Quantity};

use crate::cli::Failure;

/// A rule without its threshold, with its limits.
pub struct Template {
    name: &'static str,
    /// What stands behind the threshold.
    options: String,
    /// Whether the rule's own threshold is one minus the uncertainty.
    certainty: bool,
}

impl Template {
    /// `NAME[,OPTION…]`.
    pub fn parse(text: &str, exits: Option<&LearnedExits>) -> Result<Self, Failure> {
        let (name, options) =
            text.split_once(',').map_or((text, String::new()), |(n, o)| (n, format!(",{o}")));
        let known = ["uncertainty", "gate", "similarity", "change"].into_iter().find(|&known| known == name);
        let Some(name) = known else {
            let reason = "there are uncertainty, gate, similarity and change, without a threshold";
            return Err(Failure::option("--exit", text, reason));
        };
        let tells_certainty =
            exits.and_then(|e| e.config().estimator).is_some_and(|e| e.quantity == Quantity::Certainty);
        let certainty = match name {
            "uncertainty" => tells_certainty,
            "change" => false,
            _ => true,
        };
        let template = Self { name, options, certainty };
        // Refused by its own words where an option cannot be.
        template.text(template.never()).parse::<ExitSpec>()?;
        Ok(template)
    }

    fn text(&self, limit: f64) -> String {
        let threshold = if self.certainty { 1.0 - limit } else { limit };
        format!("{}:{threshold}{}", self.name, self.options)
    }

    /// The exit that leaves below an uncertainty.
    pub fn at(&self, limit: f64) -> ExitSpec {
        // It was parsed with another number; one that cannot be is full depth.
        self.text(limit).parse().unwrap_or(offramp::exit::Rule::Full.into())
    }

    /// The limit that nothing is below.
    pub fn never(&self) -> f64 {
        0.0
    }

    /// The limits that there are.
    pub fn range(&self, scores: &[f64]) -> RangeInclusive<f64> {
        match self.name {
            "change" => 0.0..=2.0 * scores.last().copied().unwrap_or(1.0),
            _ => 0.0..=1.0,
        }
    }
}
