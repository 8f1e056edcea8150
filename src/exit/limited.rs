//! What may be said about any exit: bounds around it, warm-up, a cap, a mask of evaluations.
//!
//! A schedule as a bound gives each time its own: `uncertainty:0.05,min=swift,max=brisk` leaves by uncertainty, but
//! never before `swift` would, and never after `brisk`. Where the two cross, `min` holds. Warm-up, cap and mask name
//! evaluations that run to the end whatever the rule and its bounds say; with a tail that remembers, those are the
//! ones that it learns from.

use super::{Bounds, Departure, Exit, ExitError, Limits, Moment, Pair, RunFacts, Schedule, Verdict, View};

/// A bound of the depth.
#[derive(Debug, Clone, PartialEq)]
pub enum Edge {
    /// Always the same, in blocks.
    Depth(usize),
    /// A schedule's depth at the time.
    Schedule(Box<Schedule>),
}

/// An exit inside limits.
pub struct Limited {
    exit: Box<dyn Exit>,
    limits: Limits<Edge>,
    /// The limits as typed.
    options: String,
}

impl Limited {
    /// Puts limits, that would be typed as `options`, around an exit.
    pub(super) fn new(exit: Box<dyn Exit>, limits: Limits<Edge>, options: String) -> Self {
        Self { exit, limits, options }
    }

    /// Where the image's memory holds how often it left early since it last ran to the end: behind the exit's own.
    fn count(&self) -> usize {
        self.exit.memory()
    }

    /// Whether warm-up, cap or mask keep an evaluation to the end.
    fn holds(&self, evaluation: usize, memory: &[f64]) -> bool {
        let early = memory.get(self.count()).copied().unwrap_or(0.0);
        self.limits.hold(evaluation, early as usize)
    }
}

impl Edge {
    fn at(&self, t: f64) -> usize {
        match self {
            Self::Depth(depth) => *depth,
            Self::Schedule(schedule) => schedule.depth_at(t),
        }
    }
}

impl Exit for Limited {
    fn spec(&self) -> String {
        format!("{}{}", self.exit.spec(), self.options)
    }

    fn around(&self) -> Option<&dyn Exit> {
        Some(&*self.exit)
    }

    fn check(&self, run: &RunFacts) -> Result<(), ExitError> {
        for edge in [&self.limits.min, &self.limits.max].into_iter().flatten() {
            match edge {
                Edge::Schedule(schedule) => schedule.check(run)?,
                Edge::Depth(depth) if *depth > run.depth => {
                    return Err(ExitError::Depth { exit: self.spec(), asked: *depth, depth: run.depth });
                }
                Edge::Depth(_) => {}
            }
        }
        self.exit.check(run)
    }

    fn bounds(&self, moment: &Moment) -> Bounds {
        let at = |edge: &Option<Edge>, default| edge.as_ref().map_or(default, |edge| edge.at(moment.t));
        let limits = Bounds { min: at(&self.limits.min, 1), max: at(&self.limits.max, moment.depth) };
        let Bounds { min, max } = limits.within(moment.depth);
        let exits = self.exit.bounds(moment).within(moment.depth);
        let (least, most) = (exits.min.clamp(min, max), exits.max.clamp(min, max));
        match self.runs_to_the_end(moment) {
            // The rule may look all the same: some remember what they saw at a full evaluation.
            true => Bounds { min: least, max: moment.depth },
            false => Bounds { min: least, max: most },
        }
    }

    fn runs_to_the_end(&self, moment: &Moment) -> bool {
        self.holds(moment.evaluation, moment.memory) || self.exit.runs_to_the_end(moment)
    }

    fn pair(&self) -> Pair {
        self.limits.pair.unwrap_or(self.exit.pair())
    }

    fn memory(&self) -> usize {
        self.count() + 1
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        let verdicts = self.exit.judge(view)?;
        let held = |(row, verdict): (usize, Verdict)| {
            let held = self.holds(view.evaluation[row], &view.memory[view.image[row]]);
            // Without a limit it is compared with nothing, and no mean of a pair's lets it go.
            if held { Verdict { leave: false, limit: None, ..verdict } } else { verdict }
        };
        Ok(verdicts.map(|verdicts| verdicts.into_iter().enumerate().map(held).collect()))
    }

    fn left(&self, departure: &mut Departure) -> Result<(), ExitError> {
        let early = departure.memory.get(self.count()).copied().unwrap_or(0.0);
        self.exit.left(departure)?;
        let full = departure.full();
        if let Some(count) = departure.memory.get_mut(self.count()) {
            *count = if full { 0.0 } else { early + 1.0 };
        }
        Ok(())
    }

    fn share(&self) -> Box<dyn Exit> {
        let (limits, options) = (self.limits.clone(), self.options.clone());
        Box::new(Self { exit: self.exit.share(), limits, options })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Full;
    use super::*;

    /// An exit with a rule for pairs of its own.
    struct Mean;

    impl Exit for Mean {
        fn spec(&self) -> String {
            "mean".into()
        }

        fn pair(&self) -> Pair {
            Pair::Mean
        }

        fn share(&self) -> Box<dyn Exit> {
            Box::new(Self)
        }
    }

    #[test]
    fn a_rule_for_pairs_that_nobody_typed_is_the_exits_own() {
        let pair = |exit: Box<dyn Exit>, pair| {
            Limited::new(exit, Limits { warmup: 1, pair, ..Limits::default() }, String::new()).pair()
        };
        assert_eq!(pair(Box::new(Mean), None), Pair::Mean);
        assert_eq!(pair(Box::new(Mean), Some(Pair::Apart)), Pair::Apart);
        assert_eq!(pair(Box::new(Full), None), Pair::Max);
    }
}
