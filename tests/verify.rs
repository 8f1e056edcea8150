//! Verify mode: drafts are accepted within a tolerance of the full step, recomputed here by hand.

mod drafts;
mod per_image_exit;

use std::ops::ControlFlow;

use drafts::two_sigma_model::{self, DEPTH, STEPS, alone};
use drafts::{
    Drawn, SOLVERS, assert_close, deviations, draw, guidance, middle, model, plan, request, verify,
};
use offramp::exit::{Fixed, Full};
use offramp::tail::Forecast;
use offramp::{Error, Event, Guidance, Model, Outcome, Request, Sampler, Verify, VerifyError};
use per_image_exit::Saturated;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tch::Kind;

proptest! {
    // Always the same cases: the last bits of other batch sizes, made more of by random weights and guidance, have a median
    // of 4e-6 at full depth too, and a tail that passes 1e-4 in about one of a hundred cases.
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(4), ..ProptestConfig::with_cases(40) })]

    #[test]
    fn no_tolerance_is_full_depth(
        solver in 0..SOLVERS.len(), steps in 1usize..7, which in 0usize..3, images in 1usize..4, batch in 1usize..4,
        depth in 1..DEPTH, order in prop::option::of(0usize..3),
    ) {
        let _alone = alone();
        let (model, solver) = (model(), SOLVERS[solver]);
        let plain = || two_sigma_model::with_solver(&model, solver).with_guidance(guidance(which)).with_batch(batch);
        let mut verified = plain().with_exit(Fixed { depth }).with_verify(verify(steps, 0.0));
        if let Some(order) = order {
            verified = verified.with_tail(Forecast::new(order));
        }
        let (ours, full) = (draw(&verified, &request(images)), draw(&plain(), &request(images)));
        for (ours, full) in ours.iter().zip(&full) {
            assert_close(&ours.sample, &full.sample, solver);
            prop_assert_eq!(&ours.sample.depths, &full.sample.depths);
            prop_assert_eq!(ours.sample.full_cost, full.sample.full_cost);
            prop_assert!(ours.sample.cost > full.sample.cost);
        }
    }

    #[test]
    fn without_a_bound_it_is_the_draft_to_the_bit(
        solver in 0..SOLVERS.len(), steps in 1usize..7, which in 0usize..3, images in 1usize..4, batch in 1usize..4,
        threshold in prop_oneof![Just(0.0), 0.0..0.5],
    ) {
        let _alone = alone();
        let (model, solver) = (model(), SOLVERS[solver]);
        let draft = || {
            let exit = Saturated { threshold, min: 1 };
            two_sigma_model::with_solver(&model, solver).with_guidance(guidance(which)).with_batch(batch).with_exit(exit)
        };
        let ours = draw(&draft().with_verify(verify(steps, f64::INFINITY)), &request(images));
        for (ours, draft) in ours.iter().zip(&draw(&draft(), &request(images))) {
            let (ours, draft) = (&ours.sample, &draft.sample);
            prop_assert_eq!(&ours.x, &draft.x);
            prop_assert_eq!(&ours.depths, &draft.depths);
            prop_assert_eq!(&ours.uncertainties, &draft.uncertainties);
            prop_assert_eq!((ours.drafted, ours.accepted), (draft.depths.len(), draft.depths.len()));
            // Every draft short of full depth is checked, and the others are not run again.
            let early = draft.cost < draft.full_cost - 1e-9;
            prop_assert_eq!(ours.cost > draft.cost + 1e-9, early);
            prop_assert!(ours.cost <= draft.cost + draft.full_cost + 1e-9);
        }
    }

    #[test]
    fn each_step_is_within_the_tolerance_and_a_batch_equals_its_singles(
        solver in 0..SOLVERS.len(), steps in 1usize..7, which in 0usize..3, images in 1usize..5, depth in 1..DEPTH,
        order in prop::option::of(0usize..3), share in 0.3..1.7,
    ) {
        let _alone = alone();
        let _no_grad = tch::no_grad_guard();
        let (model, solver, guidance) = (model(), SOLVERS[solver], guidance(which));
        let plan = plan(&model, solver, STEPS);
        let sampler = |tolerance, batch| {
            let sampler = two_sigma_model::with_solver(&model, solver).with_guidance(guidance).with_batch(batch);
            let sampler = sampler.with_exit(Fixed { depth }).with_verify(verify(steps, tolerance));
            match order {
                Some(order) => sampler.with_tail(Forecast::new(order)),
                None => sampler,
            }
        };
        let off = |drawn: &Drawn| deviations(&model, &plan, guidance, drawn);
        let tolerance = share * middle(draw(&sampler(f64::INFINITY, 1), &request(images)).iter().flat_map(off));
        let batch = draw(&sampler(tolerance, images), &request(images));
        for drawn in &batch {
            for (e, (off, &at)) in off(drawn).into_iter().zip(&drawn.sample.depths).enumerate() {
                let within = if at == DEPTH { tolerance.max(1e-5) } else { tolerance };
                prop_assert!(off <= within * (1.0 + 1e-4) + 1e-6, "{solver}, {e}: {off:.2e} > {within:.2e}");
            }
            let kept = drawn.sample.depths.iter().filter(|&&d| d == depth).count();
            prop_assert!(kept <= drawn.sample.accepted);
            prop_assert_eq!(drawn.sample.depths.len(), plan.evaluations().len());
            prop_assert!(drawn.sample.drafted >= drawn.sample.depths.len());
        }
        // A deviation at the tolerance may fall on either side.
        for (a, b) in batch.iter().zip(draw(&sampler(tolerance, 1), &request(images))) {
            if a.sample.depths == b.sample.depths {
                assert_close(&a.sample, &b.sample, solver);
                prop_assert_eq!((a.sample.drafted, a.sample.accepted), (b.sample.drafted, b.sample.accepted));
            } else {
                let parted = a.sample.depths.iter().zip(&b.sample.depths).position(|(a, b)| a != b).unwrap();
                let kept = if a.sample.depths[parted] < DEPTH { a } else { &b };
                let near = (off(kept)[parted] - tolerance).abs();
                prop_assert!(near <= 1e-4 * tolerance + 1e-6, "{solver}, {parted}: {near:.1e} from the tolerance");
            }
        }
    }
}

#[test]
fn a_rejected_step_is_the_full_one() {
    let _alone = alone();
    let _no_grad = tch::no_grad_guard();
    let model = model();
    for solver in SOLVERS {
        let plan = plan(&model, solver, STEPS);
        let sampler =
            two_sigma_model::with_solver(&model, solver).with_exit(Fixed { depth: 1 }).with_batch(3);
        let (mut kept, mut rejected) = (0, 0);
        let drafts = draw(&sampler, &request(3));
        let off = |drawn: &Drawn| deviations(&model, &plan, Guidance::NONE, drawn);
        let tolerance = middle(drafts.iter().flat_map(off));
        let sampler = sampler.with_verify(verify(2, tolerance));
        for drawn in draw(&sampler, &request(3)) {
            for (off, &depth) in off(&drawn).iter().zip(&drawn.sample.depths) {
                match depth {
                    DEPTH => assert!(*off <= 1e-5, "{solver}: {off:.1e} off a full step"),
                    _ => assert!(*off > 1e-4 && *off <= tolerance * 1.0001, "{solver}: {off:.1e}"),
                }
                *(if depth == DEPTH { &mut rejected } else { &mut kept }) += 1;
            }
        }
        assert!(kept >= 2 && rejected >= 2, "{solver}: {kept} kept, {rejected} rejected at {tolerance}");
    }
}

#[test]
fn a_draft_that_ran_to_the_end_is_its_own_check() {
    let _alone = alone();
    let model = model();
    for (solver, tolerance) in SOLVERS.into_iter().zip([0.0, 0.1, f64::INFINITY].into_iter().cycle()) {
        let full = || two_sigma_model::with_solver(&model, solver).with_exit(Full);
        let verified = draw(&full().with_verify(verify(3, tolerance)), &request(2));
        for (ours, full) in verified.iter().zip(&draw(&full(), &request(2))) {
            assert_eq!(ours.sample.x, full.sample.x, "{solver}");
            assert_eq!(ours.sample.cost, full.sample.full_cost, "{solver}");
            assert_eq!(ours.sample.accepted, ours.sample.drafted, "{solver}");
        }
    }
}

#[test]
fn all_that_is_run_is_counted() {
    let _alone = alone();
    let model = model();
    let sampler = two_sigma_model::sampler(&model).with_exit(Fixed { depth: 1 });
    // Five evaluations: three drafts make one step at a time, then two, then one.
    let sample = &draw(&sampler.with_verify(verify(3, 0.0)), &request(1))[0].sample;
    assert_eq!((sample.drafted, sample.accepted), (3 + 3 + 3 + 2 + 1, 0));
    assert!((sample.cost - 12.0 * (1.0 + 1.0 / DEPTH as f64)).abs() < 1e-9, "{}", sample.cost);
    assert_eq!(sample.full_cost, STEPS as f64);
    let sampler = two_sigma_model::sampler(&model).with_exit(Fixed { depth: 1 });
    let outcome = sampler
        .with_guidance(Guidance::scale(2.0))
        .with_verify(verify(2, f64::INFINITY))
        .sample(&request(2), &mut ())
        .unwrap();
    assert_eq!(outcome.acceptance(), 1.0);
    assert!((outcome.cost_share() - (1.0 + 1.0 / DEPTH as f64)).abs() < 1e-9, "{}", outcome.cost_share());
}

// ---- what cannot be

#[test]
fn what_cannot_be_verified_is_refused_by_name() {
    let _alone = alone();
    let model = model();
    let refused = |solver: &str, verify: Verify| {
        let sampler = two_sigma_model::with_solver(&model, solver).with_verify(verify);
        match sampler.sample(&request(1), &mut ()) {
            Err(Error::Verify(error)) => error,
            other => panic!("{solver}, {verify:?}: {other:?}"),
        }
    };
    assert_eq!(refused("ddim", verify(0, 0.1)), VerifyError::Steps);
    assert_eq!(refused("ddim", verify(1, -0.1)), VerifyError::Tolerance { got: -0.1 });
    assert!(matches!(refused("ddim", verify(1, f64::NAN)), VerifyError::Tolerance { .. }));
    for solver in ["ddpm", "ddim:eta=0.5", "euler-ancestral", "dpm-solver++2m-sde"] {
        let error = refused(solver, verify(2, 0.1));
        assert_eq!(error, VerifyError::Stochastic { solver: solver.into() });
        assert!(error.to_string().contains(solver) && Error::from(error).is_bad_input());
    }
    #[cfg(feature = "diffusers")]
    assert_eq!(
        refused("diffusers:euler", verify(2, 0.1)),
        VerifyError::Lockstep { solver: "diffusers:euler".into() }
    );
}

#[test]
fn an_observer_that_breaks_off_is_heard() {
    let _alone = alone();
    // More events than fit between a worker and its observer.
    let images = 40;
    let sampler = two_sigma_model::sampler(&model()).with_exit(Fixed { depth: 1 }).with_batch(1);
    let mut heard = 0;
    let outcome =
        sampler.with_verify(verify(3, f64::INFINITY)).sample(&request(images), &mut |event: &Event| {
            heard += usize::from(matches!(event, Event::Evaluated(_)));
            if heard == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    let Outcome { samples, cancelled, .. } = outcome.unwrap();
    assert!(cancelled && samples.len() < images, "{}", samples.len());
    assert_eq!(heard, 2);
}

// ---- trained exits

#[test]
fn trained_exits_are_kept_in_part_and_the_error_shrinks_with_the_tolerance() {
    let model = Model::open("weights/fashion-dit-exits").unwrap();
    let exit = offramp::exit::Schedule::read("schedules/fashion-dit-exits/swift.json").unwrap();
    let sampler = |batch: usize| {
        Sampler::new(model.share())
            .with_solver("dpm-solver++2m".parse().unwrap(), 10)
            .with_guidance(Guidance::scale(1.5))
            .with_batch(batch)
            .with_threads(2)
    };
    let request = Request::classes([0, 3, 5, 7], 40);
    let full = draw(&sampler(4), &request);
    let with = |tolerance: f64, batch: usize| {
        draw(&sampler(batch).with_exit(exit.clone()).with_verify(verify(3, tolerance)), &request)
    };
    let error = |drawn: &[Drawn]| {
        let off = drawn.iter().zip(&full).map(|(a, b)| (&a.sample.x - &b.sample.x).square());
        off.map(|off| off.mean(Kind::Double).double_value(&[])).sum::<f64>().sqrt()
    };
    let (loose, half, tight) = (with(f64::INFINITY, 4), with(0.0118, 4), with(0.0, 4));
    for (tight, full) in tight.iter().zip(&full) {
        assert_close(&tight.sample, &full.sample, "τ = 0");
    }
    let early = |drawn: &Drawn| drawn.sample.depths.iter().filter(|&&d| d < 12).count();
    let kept: usize = half.iter().map(early).sum();
    let most: usize = loose.iter().map(early).sum();
    assert!(kept > 0 && kept < most, "{kept} of {most} kept");
    let errors = [error(&tight), error(&half), error(&loose)];
    assert!(errors[0] < 1e-3 && errors[0] < errors[1] && errors[1] < errors[2], "{errors:?}");
    // Images keep prefixes of their own, whoever is beside them.
    assert!(half.iter().any(|image| image.sample.depths != half[0].sample.depths));
    for (a, b) in half.iter().zip(&with(0.0118, 1)) {
        assert_eq!(a.sample.depths, b.sample.depths, "image {}", a.sample.image);
        assert_close(&a.sample, &b.sample, "a batch and its singles");
    }
}
