//! The depth schedule of least predicted error for a budget, found exactly.
//!
//! Leaving at exit d at evaluation s adds ê(s, d) to an image's squared error, and to first order these add up. So the
//! schedule is the solution of `min Σ_s ê(s, d_s)` subject to `Σ_s c(d_s) ≤ B`, c the block cost of exit d: a knapsack
//! with one choice an evaluation, which dynamic programming over (evaluation, cost spent) solves exactly in S·B·P
//! operations. With a tail that reuses what an image's last full evaluation did, ê depends on how many evaluations ago
//! that was, and this age is part of the state.
//!
//! Evaluations may be taken together in spans that leave at one depth; then s is a span. Where it is known what exits do
//! together ([`Interplay`]), the solution is bettered from there.

use ndarray::Array3;

use super::Interplay;

/// What leaving early costs and what it does to an image, over the evaluations of one trajectory.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorTable {
    /// Depths of the exits before the last block, ascending: P.
    pub points: Vec<usize>,
    /// Blocks of the backbone, N.
    pub depth: usize,
    /// Block cost of each exit, as a share of full depth's; P numbers in (0, 1), ascending.
    pub costs: Vec<f64>,
    /// ê, `[S, P, A]`: the mean squared error of the image that leaving at exit p at evaluation s adds, if the last full
    /// evaluation lies a + 1 evaluations back. A is 1 for tails that remember nothing.
    pub errors: Array3<f64>,
    /// Evaluations in each span, S numbers from 1.
    pub sizes: Vec<usize>,
    /// What exits do together; none for tails that remember.
    pub interplay: Option<Interplay>,
    /// Whether the tail remembers: then the first evaluation runs to the end, and none lies more than A behind a full
    /// one.
    pub remembers: bool,
}

/// A schedule of an [`ErrorTable`]'s spans.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Blocks run at each evaluation of a span.
    pub depths: Vec<usize>,
    /// Mean block cost, as a share of full depth's.
    pub cost: f64,
    /// Its predicted squared error.
    pub error: f64,
}

/// The best schedules of a table at all budgets.
pub struct Search<'a> {
    table: &'a ErrorTable,
    /// Cost of each exit, full depth last, in units.
    units: Vec<usize>,
    /// `[s][age][spent]`: the least error of evaluations s … S − 1 from an age with so many units to spend; infinite
    /// where there is no way. Age 0 has nothing to reuse.
    least: Vec<Vec<Vec<f64>>>,
}

/// Costs that are no whole numbers of blocks are rounded up to such shares of full depth's.
const FINEST: usize = 2_000;

impl ErrorTable {
    /// Spans, S.
    pub fn spans(&self) -> usize {
        self.errors.dim().0
    }

    /// Evaluations in all spans.
    pub fn evaluations(&self) -> usize {
        self.sizes.iter().sum()
    }

    /// What leaving at choice p, P for full depth, adds at evaluation s and age; none where that cannot be.
    fn error(&self, s: usize, p: usize, age: usize) -> Option<f64> {
        match (p == self.points.len(), self.remembers) {
            (true, _) => Some(0.0),
            (false, false) => Some(self.errors[[s, p, 0]]),
            (false, true) => self.errors.get([s, p, age.checked_sub(1)?]).copied(),
        }
    }

    /// The age behind choice p.
    fn next(&self, p: usize, age: usize) -> usize {
        match (self.remembers, p == self.points.len()) {
            (false, _) => 0,
            (true, true) => 1,
            // One more than A: from there only full depth goes on.
            (true, false) => (age + 1).min(self.errors.dim().2 + 1),
        }
    }

    /// Depths as choices; none where there is no such exit.
    fn choices(&self, depths: &[usize]) -> Option<Vec<usize>> {
        let choice = |depth: &usize| match self.points.binary_search(depth) {
            Ok(p) => Some(p),
            Err(_) => (*depth == self.depth).then_some(self.points.len()),
        };
        depths.iter().map(choice).collect()
    }

    fn depths(&self, choices: &[usize]) -> Vec<usize> {
        choices.iter().map(|&p| self.points.get(p).copied().unwrap_or(self.depth)).collect()
    }

    /// The predicted squared error of a schedule, blocks by span; none where it leaves where there is no exit, or nothing
    /// to reuse.
    pub fn predict(&self, depths: &[usize]) -> Option<f64> {
        match &self.interplay {
            Some(interplay) => Some(interplay.square(&self.choices(depths)?)),
            None => self.sum(depths),
        }
    }

    /// Σ ê of a schedule.
    pub fn sum(&self, depths: &[usize]) -> Option<f64> {
        let (mut age, mut error) = (0, 0.0);
        for (s, p) in self.choices(depths)?.into_iter().enumerate() {
            error += self.error(s, p, age)?;
            age = self.next(p, age);
        }
        Some(error)
    }

    /// The mean cost of a schedule.
    pub fn cost(&self, depths: &[usize]) -> f64 {
        let cost = |d: &usize| self.points.binary_search(d).map_or(1.0, |p| self.costs[p]);
        let sum: f64 = depths.iter().zip(&self.sizes).map(|(d, &size)| cost(d) * size as f64).sum();
        sum / self.evaluations() as f64
    }

    /// Solves it for all budgets.
    pub fn search(&self) -> Search<'_> {
        Search::new(self)
    }
}

impl<'a> Search<'a> {
    fn new(table: &'a ErrorTable) -> Self {
        let n = table.depth as f64;
        let whole = table.costs.iter().all(|c| (c * n - (c * n).round()).abs() < 1e-9);
        let full = if whole { table.depth } else { FINEST };
        let unit = |c: &f64| match c * full as f64 {
            exact if (exact - exact.round()).abs() < 1e-9 => exact.round() as usize,
            between => between.ceil() as usize,
        };
        let units: Vec<usize> = table.costs.iter().map(unit).chain([full]).collect();
        let (s, budget) = (table.spans(), full * table.evaluations());
        let ages = if table.remembers { table.errors.dim().2 + 2 } else { 1 };
        let mut least = vec![vec![vec![f64::INFINITY; budget + 1]; ages]; s + 1];
        least[s].iter_mut().for_each(|of_age| of_age.fill(0.0));
        for s in (0..s).rev() {
            for age in 0..ages {
                for (p, &unit) in units.iter().enumerate() {
                    let cost = unit * table.sizes[s];
                    let Some(error) = table.error(s, p, age) else { continue };
                    let behind = table.next(p, age);
                    for spent in cost..=budget {
                        let sum = error + least[s + 1][behind][spent - cost];
                        if sum < least[s][age][spent] {
                            least[s][age][spent] = sum;
                        }
                    }
                }
            }
        }
        Self { table, units, least }
    }

    /// The units that a share of full depth's cost buys.
    fn afford(&self, budget: f64) -> usize {
        let most = self.units[self.table.points.len()] * self.table.evaluations();
        ((budget.clamp(0.0, 1.0) * most as f64) + 1e-9).floor() as usize
    }

    /// The schedule of least Σ ê whose mean cost is at most `budget`, a share of full depth's; of equals the cheaper.
    /// None where even the cheapest costs more.
    pub fn least_sum(&self, budget: f64) -> Option<Choice> {
        let choices = self.solve(self.afford(budget))?;
        let depths = self.table.depths(&choices);
        Some(Choice { cost: self.table.cost(&depths), error: self.table.sum(&depths)?, depths })
    }

    fn solve(&self, mut left: usize) -> Option<Vec<usize>> {
        let table = self.table;
        let error = self.least[0][0][left];
        if !error.is_finite() {
            return None;
        }
        left = (0..=left).find(|&spent| self.least[0][0][spent] <= error)?;
        let (mut age, mut choices) = (0, vec![]);
        for s in 0..table.spans() {
            let wanted = self.least[s][age][left];
            let p = (0..self.units.len()).find(|&p| {
                let cost = self.units[p] * table.sizes[s];
                let Some(error) = table.error(s, p, age).filter(|_| cost <= left) else { return false };
                error + self.least[s + 1][table.next(p, age)][left - cost] == wanted
            })?;
            left -= self.units[p] * table.sizes[s];
            age = table.next(p, age);
            choices.push(p);
        }
        Some(choices)
    }

    /// The best schedule found whose mean cost is at most `budget`: of least Σ ê, or, where it is known what exits do
    /// together, of the least squared error that single and double changes lead to, from there and from the best ones of
    /// smaller budgets. None where even the cheapest costs more.
    pub fn at(&self, budget: f64) -> Option<Choice> {
        let Some(interplay) = &self.table.interplay else { return self.least_sum(budget) };
        let budget = self.afford(budget);
        let all = self.afford(1.0);
        let mut best: Option<(f64, Vec<usize>)> = None;
        // A budget's start is also the best of the budgets below it, so that more to spend is never worse.
        for step in 1..=STEPS {
            let below = all * step / STEPS;
            let spend = below.min(budget);
            let starts = [self.solve(spend), best.as_ref().map(|(_, choices)| choices.clone())];
            for mut choices in starts.into_iter().flatten() {
                interplay.refine(self.table, &self.units, &mut choices, spend);
                let square = interplay.square(&choices);
                if best.as_ref().is_none_or(|(least, _)| square < *least) {
                    best = Some((square, choices));
                }
            }
            if below >= budget {
                break;
            }
        }
        let (error, choices) = best?;
        let depths = self.table.depths(&choices);
        Some(Choice { cost: self.table.cost(&depths), error, depths })
    }
}

/// Budgets up to full depth that a search passes on its way.
const STEPS: usize = 40;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(evaluations: usize, ages: usize, remembers: bool, errors: Vec<f64>) -> ErrorTable {
        let points = vec![1, 3];
        let errors = Array3::from_shape_vec((evaluations, 2, ages), errors).unwrap();
        let sizes = vec![1; evaluations];
        ErrorTable { points, depth: 4, costs: vec![0.25, 0.75], errors, sizes, interplay: None, remembers }
    }

    /// Every schedule that there is.
    fn all(evaluations: usize) -> Vec<Vec<usize>> {
        (0..evaluations).fold(vec![vec![]], |schedules, _| {
            let longer = |s: &Vec<usize>| [1, 3, 4].map(|d| [s.as_slice(), &[d]].concat());
            schedules.iter().flat_map(longer).collect()
        })
    }

    proptest! {
        #[test]
        fn none_of_equal_cost_is_better(
            errors in prop::collection::vec(0.0f64..1.0, 4 * 2 * 2),
            remembers in any::<bool>(),
            budget in 0.2f64..1.0,
        ) {
            let table = match remembers {
                true => table(4, 2, true, errors),
                false => table(4, 1, false, errors[..8].to_vec()),
            };
            let allowed = all(4).into_iter().filter(|d| table.cost(d) <= budget + 1e-12);
            let best = allowed.filter_map(|d| table.predict(&d)).min_by(f64::total_cmp);
            let found = table.search().at(budget);
            prop_assert_eq!(found.as_ref().map(|f| f.error), best);
            if let Some(found) = found {
                prop_assert!(found.cost <= budget + 1e-12);
                prop_assert_eq!(table.predict(&found.depths), Some(found.error));
                prop_assert_eq!(table.cost(&found.depths), found.cost);
            }
        }

        #[test]
        fn more_to_spend_is_never_worse(errors in prop::collection::vec(0.0f64..1.0, 6 * 2)) {
            let table = table(6, 1, false, errors);
            let search = table.search();
            let errors: Vec<f64> =
                (0..=100).filter_map(|b| search.at(f64::from(b) / 100.0)).map(|c| c.error).collect();
            prop_assert!(errors.len() >= 75 && errors.windows(2).all(|w| w[1] <= w[0]));
            prop_assert_eq!(errors.last(), Some(&0.0));
        }
    }

    proptest! {
        #[test]
        fn what_exits_do_together_is_bettered_and_never_worse_with_more(
            parts in prop::collection::vec(-1.0f64..1.0, 8 * 5),
        ) {
            // Products of vectors: a form that is never negative.
            let v = ndarray::Array2::from_shape_vec((8, 5), parts).unwrap();
            let products = v.dot(&v.t());
            let errors = (0..8).map(|k| products[[k, k]]).collect();
            let mut table = table(4, 1, false, errors);
            table.interplay = Some(Interplay { products, exits: 2 });
            let search = table.search();
            let mut before = f64::INFINITY;
            for budget in (5..=20).map(|k| f64::from(k) / 20.0) {
                let (found, sum) = (search.at(budget).unwrap(), search.least_sum(budget).unwrap());
                prop_assert!(found.cost <= budget + 1e-12);
                prop_assert!((table.predict(&found.depths).unwrap() - found.error).abs() < 1e-9);
                prop_assert!(found.error <= table.predict(&sum.depths).unwrap() + 1e-9);
                prop_assert!(found.error <= before);
                before = found.error;
                let best = all(4)
                    .into_iter()
                    .filter(|d| table.cost(d) <= budget + 1e-12)
                    .filter_map(|d| table.predict(&d))
                    .fold(f64::INFINITY, f64::min);
                prop_assert!(found.error >= best - 1e-9);
            }
            prop_assert!(before.abs() < 1e-12);
        }
    }

    #[test]
    fn costs_that_are_no_whole_blocks_never_pass_the_budget() {
        let errors = Array3::from_shape_fn((10, 2, 1), |(s, p, _)| (s + 1) as f64 / (p + 1) as f64);
        let table = ErrorTable {
            points: vec![1, 3],
            depth: 4,
            costs: vec![0.1234567, 0.7],
            errors,
            sizes: vec![1; 10],
            interplay: None,
            remembers: false,
        };
        for budget in [0.13, 0.3, 0.5, 0.77] {
            let found = table.search().at(budget).unwrap();
            assert!(found.cost <= budget && found.cost > budget - 0.1, "{budget}: {found:?}");
        }
        assert_eq!(table.search().at(0.1), None);
    }
}
