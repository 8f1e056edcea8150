//! A solver, once its time grid is known, is plain data: a list of network evaluations and, for each,
//! a linear combination that gives the next `x`.
//!
//! DDIM, DDPM, the DPM-Solvers, Euler, Heun and UniPC all move by
//! `x_{e+1} = Σ w · v`, where `v` is an `x`, a predicted `x0` or a predicted `ε` of this or an earlier
//! evaluation and every weight depends on time alone. So a solver here is a function from a path of
//! [`Node`]s to a [`Plan`]; the weights are worked out once, in f64, and nothing else is left to do in
//! the sampling loop. Because a plan says which earlier values it will still need, an image's history
//! holds exactly those, and images of one batch may stand at different evaluations.

use super::diffusion::Node;

/// A tensor that an update may refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// The noisy image `x_e` in the variance-preserving scale (the corrected one where there is a corrector).
    X,
    /// The predicted clean image at evaluation `e`.
    X0,
    /// The predicted noise at evaluation `e`.
    Eps,
}

/// `weight · value(evaluation)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// Which tensor.
    pub value: Value,
    /// Of which evaluation, counted from the start of the plan.
    pub evaluation: usize,
    /// Its weight.
    pub weight: f64,
}

/// A sum of terms; the same value is never named twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Combination {
    terms: Vec<Term>,
}

impl Combination {
    /// The empty sum.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `weight · x_e`.
    pub fn x(self, evaluation: usize, weight: f64) -> Self {
        self.plus(Value::X, evaluation, weight)
    }

    /// Adds `weight · x0_e`.
    pub fn x0(self, evaluation: usize, weight: f64) -> Self {
        self.plus(Value::X0, evaluation, weight)
    }

    /// Adds `weight · ε_e`.
    pub fn eps(self, evaluation: usize, weight: f64) -> Self {
        self.plus(Value::Eps, evaluation, weight)
    }

    /// Adds one term, folded into an existing one that names the same value.
    pub fn plus(mut self, value: Value, evaluation: usize, weight: f64) -> Self {
        match self.terms.iter_mut().find(|t| t.value == value && t.evaluation == evaluation) {
            Some(term) => term.weight += weight,
            None => self.terms.push(Term { value, evaluation, weight }),
        }
        self
    }

    /// The terms, in the order in which they were added.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }
}

/// How much fresh noise an update adds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Noise {
    /// None: the update is deterministic.
    None,
    /// `scale · z`, z standard normal.
    Fixed(f64),
    /// `exp(½ log σ²) · z` with `log σ² = f·log_max + (1−f)·log_min`, `f = (v+1)/2`, where `v` is the
    /// network's own variance output (Nichol & Dhariwal 2021, eq. 15).
    Learned {
        /// log of the posterior variance β̃.
        log_min: f64,
        /// log of β.
        log_max: f64,
    },
}

impl Noise {
    /// `scale · z`, or nothing to draw where `scale` is 0.
    pub(super) fn fixed(scale: f64) -> Self {
        if scale == 0.0 { Noise::None } else { Noise::Fixed(scale) }
    }
}

/// What one evaluation's prediction is turned into.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// A corrector's revised `x_e`, worked out first; `next` then sees it as `x_e`.
    pub correct: Option<Combination>,
    /// `x_{e+1}` without its noise.
    pub next: Combination,
    /// The noise added to `x_{e+1}`.
    pub noise: Noise,
}

impl Update {
    /// A deterministic update without a corrector.
    pub fn to(next: Combination) -> Self {
        Self { correct: None, next, noise: Noise::None }
    }
}

/// One call of the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Where on the path it is made.
    pub node: Node,
    /// Which solver step it belongs to, from 0.
    pub step: usize,
}

/// A solver laid out over its evaluations.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    evaluations: Vec<Evaluation>,
    updates: Vec<Update>,
    // last_use[e] = for X, X0, Eps of evaluation e: the last update that refers to it.
    last_use: Vec<[Option<usize>; 3]>,
}

impl Plan {
    /// Joins evaluations and their updates, one each.
    ///
    /// # Panics
    /// When the two differ in length or an update refers to an evaluation after its own: a solver that
    /// does so is wrong whatever the input.
    pub fn new(evaluations: Vec<Evaluation>, updates: Vec<Update>) -> Self {
        assert_eq!(evaluations.len(), updates.len(), "one update for each evaluation");
        let mut last_use = vec![[None; 3]; evaluations.len()];
        for (e, update) in updates.iter().enumerate() {
            let corrector = update.correct.iter().flat_map(|c| c.terms());
            for term in corrector.chain(update.next.terms()) {
                assert!(
                    term.evaluation <= e,
                    "update {e} refers to the later evaluation {}",
                    term.evaluation
                );
                last_use[term.evaluation][term.value as usize] = Some(e);
            }
        }
        Self { evaluations, updates, last_use }
    }

    /// A solver that calls the network once at every node of `path` but the last; `update(e)` moves from
    /// `path[e]` to `path[e + 1]`.
    pub(super) fn one_call_per_step(path: &[Node], update: impl FnMut(usize) -> Update) -> Self {
        let steps = path.len().saturating_sub(1);
        let evaluations = path.iter().take(steps).enumerate().map(|(step, &node)| Evaluation { node, step });
        Self::new(evaluations.collect(), (0..steps).map(update).collect())
    }

    /// The network calls, in order.
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }

    /// The update that follows evaluation `e`.
    ///
    /// # Panics
    /// When the plan has no evaluation `e`.
    pub fn update(&self, e: usize) -> &Update {
        &self.updates[e]
    }

    /// Whether `value` of evaluation `of` is still referred to by an update after `now`.
    ///
    /// # Panics
    /// When the plan has no evaluation `of`.
    pub fn needed_after(&self, now: usize, value: Value, of: usize) -> bool {
        self.last_use[of][value as usize].is_some_and(|last| last > now)
    }

    /// Whether any update scales its noise by the network's own variance.
    pub fn learns_variance(&self) -> bool {
        self.updates.iter().any(|u| matches!(u.noise, Noise::Learned { .. }))
    }

    /// Whether any update draws noise.
    pub fn is_stochastic(&self) -> bool {
        self.updates.iter().any(|u| u.noise != Noise::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_knows_how_long_each_value_is_needed() {
        let path =
            [Node { t: 9.0, alpha: 0.1, sigma: 0.9 }, Node { t: 5.0, alpha: 0.5, sigma: 0.5 }, Node::CLEAN];
        let plan = Plan::one_call_per_step(&path, |e| {
            let next = Combination::new().x(e, 1.0);
            Update::to(if e == 1 { next.eps(0, 0.5).eps(0, 0.25) } else { next })
        });
        assert_eq!(plan.evaluations().len(), 2);
        assert_eq!(plan.update(1).next.terms()[1], Term { value: Value::Eps, evaluation: 0, weight: 0.75 });
        assert!(plan.needed_after(0, Value::Eps, 0) && !plan.needed_after(1, Value::Eps, 0));
        assert!(!plan.needed_after(0, Value::X, 0) && !plan.is_stochastic());
    }
}
