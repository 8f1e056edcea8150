//! What must hold of any numbers: tests that are monotone, budgets that are met, mixtures without NaN.

use std::convert::Infallible;

use ndarray::Array3;
use offramp::calibrate::{
    BetaMixture, CalibrateError, ExitShares, Losses, Promise, exit_thresholds, one_threshold, shares_leaving,
};
use proptest::prelude::*;

/// Scores in [0, 1], all different but for chance.
fn scores(exits: usize) -> impl Strategy<Value = Array3<f64>> {
    (1usize..5, 1usize..40).prop_flat_map(move |(times, images)| {
        prop::collection::vec(0.0..1.0f64, times * exits * images)
            .prop_map(move |u| Array3::from_shape_vec((times, exits, images), u).unwrap())
    })
}

/// Costs that rise to 1, the last for full depth.
fn costs(exits: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.05..1.0f64, exits + 1).prop_map(|steps| {
        let sum: f64 = steps.iter().sum();
        steps.iter().scan(0.0, |so_far, step| Some(*so_far + step / sum).inspect(|c| *so_far = *c)).collect()
    })
}

/// The mean cost of leaving at the first exit whose score is below `threshold`, on these scores.
fn mean_cost(scores: &Array3<f64>, costs: &[f64], threshold: f64) -> f64 {
    let thresholds = vec![threshold; costs.len() - 1];
    let shares = shares_leaving(scores.view(), &thresholds).unwrap();
    shares.iter().zip(costs).map(|(p, c)| p * c).sum()
}

fn search(
    u: &Array3<f64>,
    costs: &[f64],
    budget: f64,
    tolerance: f64,
) -> Result<(f64, f64, usize), CalibrateError> {
    let flat: Vec<f64> = u.iter().copied().collect();
    let cost = |threshold| Ok::<_, CalibrateError>(mean_cost(u, costs, threshold));
    let found = one_threshold(&flat, 0.0..=1.0, budget, tolerance, cost)?;
    Ok((found.best.threshold, found.best.cost, found.tried.len()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn more_failures_are_never_better(
        risk in 0.001..0.999f64, confidence in 0.5..0.999f64, images in 1u64..5000, failures in 0u64..5000
    ) {
        let promise = Promise::new(risk, confidence).unwrap();
        let failures = failures.min(images - 1);
        let p = |k, n| promise.p_value(Losses::new(k, n).unwrap());
        prop_assert!((0.0..=1.0).contains(&p(failures, images)));
        prop_assert!(p(failures, images) <= p(failures + 1, images));
        prop_assert!(p(failures, images + 1) <= p(failures, images));
        prop_assert_eq!(p(images, images), 1.0);
    }

    #[test]
    fn the_counts_that_pass_are_those_up_to_the_most(
        risk in 0.001..0.999f64, confidence in 0.5..0.999f64, images in 1u64..3000
    ) {
        let promise = Promise::new(risk, confidence).unwrap();
        let accepts = |k| promise.accepts(Losses::new(k, images).unwrap());
        match promise.most_failures(images) {
            Some(most) => prop_assert!(accepts(most) && !accepts(most + 1) && images >= promise.least_images()),
            None => prop_assert!(!accepts(0) && images < promise.least_images()),
        }
    }

    #[test]
    fn a_sequence_ends_at_its_first_failure(failures in prop::collection::vec(0u64..12, 0..20)) {
        let promise = Promise::new(0.05, 0.9).unwrap();
        let Ok(found) = promise.fixed_sequence(failures.len(), |j| {
            Ok::<_, Infallible>((0..100).map(|image| image < failures[j]).collect())
        });
        // P(Bin(100, 0.05) ≤ 1) = 0.037, ≤ 2: 0.118.
        let passed = failures.iter().take_while(|&&k| k <= 1).count();
        prop_assert_eq!(found.accepted().map(|test| test.setting + 1).unwrap_or(0), passed);
        prop_assert_eq!(found.tests.len(), failures.len().min(passed + 1));
    }

    #[test]
    fn one_threshold_spends_a_budget_to_the_last_score(
        (u, costs) in (1usize..5).prop_flat_map(|exits| (scores(exits), costs(exits))), share in 0.0..1.0f64
    ) {
        let least = costs[0];
        let budget = least + share * (1.0 - least);
        let (threshold, cost, _) = search(&u, &costs, budget, 0.0).unwrap();
        let evaluations = (u.dim().0 * u.dim().2) as f64;
        // A score moves one evaluation, whose cost is within the range of costs.
        prop_assert!(cost <= budget && cost > budget - (1.0 - least) / evaluations, "{cost} for {budget}");
        prop_assert_eq!(mean_cost(&u, &costs, threshold), cost);
        // It is the lowest there is, as trying all of them finds.
        let lower = u.iter().copied().filter(|&score| score < threshold && score > 0.0);
        prop_assert!(lower.map(|score| mean_cost(&u, &costs, score)).all(|c| c > budget));
    }

    #[test]
    fn one_threshold_falls_as_the_budget_rises(
        (u, costs) in (1usize..5).prop_flat_map(|exits| (scores(exits), costs(exits))),
        shares in (0.0..1.0f64, 0.0..1.0f64), tolerance in 0.0..0.2f64
    ) {
        let (low, high) = (shares.0.min(shares.1), shares.0.max(shares.1));
        let budget = |share: f64| costs[0] + share * (1.0 - costs[0]);
        let exact = |share| search(&u, &costs, budget(share), 0.0).unwrap().0;
        prop_assert!(exact(low) >= exact(high));
        // With a tolerance, where budgets are further apart than that.
        if budget(high) - budget(low) > tolerance {
            let near = |share| search(&u, &costs, budget(share), tolerance).unwrap();
            prop_assert!(near(low).0 >= near(high).0);
            prop_assert!(near(low).1 <= budget(low));
        }
    }

    #[test]
    fn a_search_ends_and_keeps_within_the_budget_whatever_the_costs(
        u in prop::collection::vec(0.0..1.0f64, 1..500), noise in prop::collection::vec(0.0..1.0f64, 50),
        budget in 0.2..1.5f64, tolerance in 0.0..0.1f64
    ) {
        // Costs that fall on the whole, by nothing like a line, and jump about.
        let cost = |threshold: f64| {
            let jump = noise[(threshold * 1e6) as usize % noise.len()];
            Ok::<_, CalibrateError>((1.0 - threshold).powi(4) + 0.3 * jump)
        };
        match one_threshold(&u, 0.0..=1.0, budget, tolerance, cost) {
            Ok(found) => {
                prop_assert!(found.best.cost <= budget);
                prop_assert!(found.tried.iter().all(|t| t.cost > budget || t.cost <= found.best.cost));
                prop_assert!(found.tried.len() as f64 <= 2.0 + 2.0 * (u.len() as f64 + 1.0).log2().ceil());
            }
            Err(CalibrateError::Unreachable { least, .. }) => {
                prop_assert_eq!(least, cost(1.0).unwrap());
                prop_assert!(least > budget);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn shares_spend_the_budget(
        (costs, errors) in (0usize..8).prop_flat_map(|p| (costs(p), prop::collection::vec(-2.0..2.0f64, p + 1))),
        share in 0.0..=1.0f64, eta in 0.0..1000.0f64
    ) {
        let budget = costs[0] + share * (costs[costs.len() - 1] - costs[0]);
        let found = ExitShares::at_budget(&errors, &costs, eta, budget).unwrap();
        prop_assert!((found.cost - budget).abs() < 1e-10, "{found:?} for {budget}");
        prop_assert!((found.shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        prop_assert!(found.shares.iter().all(|&p| p >= 0.0));
        // ln π_i + η·error_i + β·cost_i is the same for all exits.
        if let Some(beta) = found.beta {
            let level = |i: usize| found.shares[i].ln() + eta * errors[i] + beta * costs[i];
            let levels = (0..costs.len()).filter(|&i| found.shares[i] > 1e-300).map(level);
            let (low, high) = levels.fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
            let scale = 1.0 + eta + beta.abs();
            prop_assert!(high - low < 1e-10 * scale, "{found:?}: {low} {high}");
        }
    }

    #[test]
    fn thresholds_for_each_exit_meet_the_budget(
        (u, costs, errors) in (1usize..6)
            .prop_flat_map(|p| (scores(p), costs(p), prop::collection::vec(0.0..1.0f64, p + 1))),
        share in 0.0..=1.0f64, eta in 0.0..20.0f64
    ) {
        let budget = costs[0] + share * (1.0 - costs[0]);
        let shares = ExitShares::at_budget(&errors, &costs, eta, budget).unwrap();
        let thresholds = exit_thresholds(u.view(), &shares.shares, 0.0..=1.0).unwrap();
        let leaving = shares_leaving(u.view(), &thresholds).unwrap();
        let cost: f64 = leaving.iter().zip(&costs).map(|(p, c)| p * c).sum();
        let evaluations = (u.dim().0 * u.dim().2) as f64;
        prop_assert!(cost <= budget + 1e-8 && cost > budget - (1.0 - costs[0]) / evaluations - 1e-8,
            "{cost} for {budget} among {evaluations}");
        // What has left by each exit, to the next whole evaluation.
        let (mut asked, mut gone) = (0.0, 0.0);
        for (p, left) in shares.shares.iter().zip(&leaving) {
            (asked, gone) = (asked + p, gone + left);
            prop_assert!(gone > asked - 1e-8 && gone < asked + 1.0 / evaluations + 1e-8, "{leaving:?} for {shares:?}");
        }
    }

    #[test]
    fn equal_scores_leave_together_and_never_overspend(
        u in prop::collection::vec(0u8..4, 60), share in 0.0..=1.0f64
    ) {
        let u = Array3::from_shape_fn((2, 3, 10), |(k, p, m)| f64::from(u[(k * 3 + p) * 10 + m]) / 4.0);
        let costs = [0.25, 0.5, 0.75, 1.0];
        let budget = 0.25 + 0.75 * share;
        let shares = ExitShares::at_budget(&[0.0; 4], &costs, 0.0, budget).unwrap();
        let thresholds = exit_thresholds(u.view(), &shares.shares, 0.0..=1.0).unwrap();
        let leaving = shares_leaving(u.view(), &thresholds).unwrap();
        let cost: f64 = leaving.iter().zip(&costs).map(|(p, c)| p * c).sum();
        prop_assert!(cost <= budget + 1e-8, "{cost} for {budget}");
    }

    #[test]
    fn a_mixture_is_made_of_numbers_or_refused(
        c in prop::collection::vec(prop_oneof![0.0..=1.0f64, Just(0.0), Just(1.0), Just(0.5), 0.99..=1.0f64], 0..60),
        zeta in 0.01..0.99f64
    ) {
        match BetaMixture::fit(&c) {
            Ok(found) => {
                prop_assert!(found.share > 0.0 && found.share < 1.0, "{found:?}");
                prop_assert!(found.ln_likelihood.is_finite() && found.confident.mean() >= found.other.mean());
                for c in 0..=100 {
                    prop_assert!((0.0..=1.0).contains(&found.posterior(f64::from(c) / 100.0)), "{found:?}");
                }
                if let Some(threshold) = found.threshold(zeta).unwrap() {
                    prop_assert!((0.0..1.0).contains(&threshold));
                    prop_assert!(found.posterior(threshold + 1e-9) >= zeta - 1e-3, "{found:?} at {threshold}");
                }
                // In any order, the same.
                let mut turned = c.clone();
                turned.reverse();
                prop_assert_eq!(BetaMixture::fit(&turned).unwrap(), found);
            }
            Err(CalibrateError::TooFew { .. }) => prop_assert!(c.len() < 2),
            Err(CalibrateError::OneValue { .. }) => {
                // The ends are moved in by 1e-4.
                let moved = |c: &f64| c.clamp(1e-4, 1.0 - 1e-4);
                prop_assert!(c.iter().all(|x| moved(x) == moved(&c[0])));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
