//! Learned exits in the sampler: where uncertainty, certainty and gates leave, and what trained heads do.

mod learned_exits;
mod tiny_model;

use learned_exits::{config, constant, estimator, gate, random};
use offramp::exit::{ExitError, ExitSpec, ExitSpecError, Fixed, Full, GateExit, Threshold, Uncertainty};
use offramp::learned::{EstimatorKind, HeadKind, LearnedConfig, LearnedExits};
use offramp::tail::{Forecast, Heads, TailSpec, TailSpecError};
use offramp::{Error, Guidance, Model, Outcome, Request, Sampler};
use tiny_model::{DEPTH, Workplace};

fn model() -> (Workplace, Model) {
    let place = Workplace::new();
    let model = Model::open(place.path("weights/tiny")).unwrap();
    (place, model)
}

fn draw(sampler: Sampler) -> Outcome {
    sampler.with_threads(1).with_batch(4).sample(&Request::classes(0..4, 5), &mut ()).unwrap()
}

fn sampler(model: &Model, exits: &LearnedExits, exit: &str) -> Sampler {
    let exit: ExitSpec = exit.parse().unwrap();
    let exit = exit.build("schedules".as_ref(), Some(exits)).unwrap();
    Sampler::new(model.share()).with_exit(exit).with_solver("ddim".parse().unwrap(), 3)
}

/// The one depth at which every evaluation of every image left.
fn depth(model: &Model, exits: &LearnedExits, exit: &str, guidance: f64) -> usize {
    let outcome = draw(sampler(model, exits, exit).with_guidance(Guidance::scale(guidance)));
    let mut depths: Vec<usize> = outcome.samples.iter().flat_map(|s| s.depths.clone()).collect();
    assert_eq!(depths.len(), 12);
    depths.dedup();
    assert_eq!(depths.len(), 1, "{exit}: {depths:?}");
    depths[0]
}

#[test]
fn uncertainty_leaves_below_and_certainty_above_the_threshold() {
    let (_place, model) = model();
    let of = |kind, numbers: [f64; 2]| {
        constant(LearnedConfig { estimator: estimator(kind), ..config(&model.sha256) }, &numbers)
    };
    let uncertain = of(EstimatorKind::Paper, [0.6, 0.3]);
    let certain = of(EstimatorKind::Released, [0.4, 0.7]);
    for guidance in [1.0, 1.5] {
        for (exit, expected) in [
            ("uncertainty:0", DEPTH),
            ("uncertainty:0.29", DEPTH),
            ("uncertainty:0.31", 2),
            ("uncertainty:0.59", 2),
            ("uncertainty:0.61", 1),
            ("uncertainty:1", 1),
            ("uncertainty:1,min=2", 2),
            ("uncertainty:1,min=3", DEPTH),
            ("uncertainty:0,max=2", 2),
            ("uncertainty:0,max=1", 1),
        ] {
            assert_eq!(depth(&model, &uncertain, exit, guidance), expected, "{exit}");
        }
        for (exit, expected) in [
            ("uncertainty:1", DEPTH),
            ("uncertainty:0.71", DEPTH),
            ("uncertainty:0.69", 2),
            ("uncertainty:0.41", 2),
            ("uncertainty:0.39", 1),
            ("uncertainty:0", 1),
        ] {
            assert_eq!(depth(&model, &certain, exit, guidance), expected, "{exit}");
        }
    }
    // Whatever the estimator says, its uncertainty is reported; the last that was asked for.
    for (exits, exit, expected) in
        [(&uncertain, "uncertainty:0.61", 0.6), (&certain, "uncertainty:0.69", 0.3)]
    {
        for sample in draw(sampler(&model, exits, exit)).samples {
            assert!(sample.uncertainties.iter().all(|u| (u.unwrap() - expected as f32).abs() < 1e-6));
        }
    }
}

#[test]
fn gates_leave_at_a_probability_or_at_a_quantile_of_the_depth() {
    let (_place, model) = model();
    // Of having left by here: 0.3, then 1 − 0.7·0.5 = 0.65.
    let exits = constant(LearnedConfig { gate: gate(3), ..config(&model.sha256) }, &[0.3, 0.5]);
    for guidance in [1.0, 1.5] {
        for (exit, expected) in [
            ("gate:0", 1),
            ("gate:0.29", 1),
            ("gate:0.31", 2),
            ("gate:0.49", 2),
            ("gate:0.51", DEPTH),
            ("gate:0.29,min=2", 2),
            ("gate:0.51,max=2", 2),
            ("gate:q=0.29", 1),
            // Were a guided image's halves counted together, 1 − 0.7² would pass this.
            ("gate:q=0.4", 2),
            ("gate:q=0.64", 2),
            // Were one evaluation to remember the one before, this would be left.
            ("gate:q=0.66", DEPTH),
            ("gate:q=1", DEPTH),
            ("gate:q=0.2,min=2", 2),
        ] {
            assert_eq!(depth(&model, &exits, exit, guidance), expected, "{exit}");
        }
    }
    for sample in draw(sampler(&model, &exits, "gate:q=0.66")).samples {
        assert!(sample.uncertainties.iter().all(|u| (u.unwrap() - 0.35).abs() < 1e-6));
    }
}

#[test]
fn an_exit_that_has_no_estimator_is_passed_by() {
    let (_place, model) = model();
    let only_second = LearnedConfig {
        points: vec![2],
        estimator: estimator(EstimatorKind::Paper),
        ..config(&model.sha256)
    };
    assert_eq!(depth(&model, &constant(only_second, &[0.1]), "uncertainty:0.9", 1.0), 2);
}

#[test]
fn images_part_where_their_uncertainties_do() {
    let (_place, model) = model();
    let learned = LearnedConfig { estimator: estimator(EstimatorKind::Paper), ..config(&model.sha256) };
    let exits = random(learned, 0.5);
    // Never leaving, the second exit's uncertainties are seen.
    let seen = draw(sampler(&model, &exits, "uncertainty:0,min=2"));
    let mut u: Vec<f32> = seen.samples.iter().map(|s| s.uncertainties[0].unwrap()).collect();
    u.sort_by(f32::total_cmp);
    let threshold = f64::from(u[1] + u[2]) / 2.0;
    let left = draw(sampler(&model, &exits, &format!("uncertainty:{threshold},min=2")));
    for (seen, left) in seen.samples.iter().zip(&left.samples) {
        let u = seen.uncertainties[0].unwrap();
        assert_eq!(left.depths[0], if f64::from(u) < threshold { 2 } else { DEPTH });
        assert!((left.uncertainties[0].unwrap() - u).abs() < 1e-5);
    }
    assert_eq!(left.samples.iter().filter(|s| s.depths[0] == 2).count(), 2);
}

#[test]
fn trained_heads_stand_in_and_untrained_ones_change_nothing() {
    let (_place, model) = model();
    for heads in [HeadKind::Linear, HeadKind::Local, HeadKind::Global] {
        let learned = LearnedConfig { heads, points: vec![2], ..config(&model.sha256) };
        let untrained = LearnedExits::init(learned.clone(), 1).unwrap();
        let trained = random(learned, 0.2);
        let at = |depth| {
            Sampler::new(model.share()).with_exit(Fixed { depth }).with_solver("ddim".parse().unwrap(), 3)
        };
        let with = |depth, exits| draw(at(depth).with_tail(Heads::new(exits).unwrap())).samples;
        for depth in [1, 2, DEPTH] {
            let plain = draw(at(depth)).samples;
            for (a, b) in plain.iter().zip(with(depth, &untrained)) {
                assert_eq!(a.x, b.x, "{heads:?} at {depth}");
            }
            // Only the second exit has a head.
            for (a, b) in plain.iter().zip(with(depth, &trained)) {
                assert_eq!(a.x == b.x, depth != 2, "{heads:?} at {depth}");
            }
        }
    }
}

#[test]
fn a_model_with_trained_heads_uses_them_by_default() {
    let (place, model) = model();
    assert!(model.exits.is_none());
    assert_eq!(Sampler::new(model.share()).tail().spec(), "head");
    let file = place.path("weights/tiny/exits.safetensors");
    for (heads, tail) in [(HeadKind::Shared, "head"), (HeadKind::Local, "heads")] {
        random(LearnedConfig { heads, gate: gate(3), ..config(&model.sha256) }, 0.2).write(&file).unwrap();
        let model = Model::open(place.path("weights/tiny")).unwrap();
        assert_eq!(model.exits.as_ref().unwrap().config().heads, heads);
        let sampler = Sampler::new(model.share()).with_exit(Fixed { depth: 1 });
        assert_eq!(sampler.tail().spec(), tail);
        let heads = TailSpec::Heads.build(model.exits.as_ref());
        match tail {
            "heads" => {
                let asked =
                    Sampler::new(model.share()).with_exit(Fixed { depth: 1 }).with_tail(heads.unwrap());
                let plain =
                    Sampler::new(model.share()).with_exit(Fixed { depth: 1 }).with_tail(offramp::tail::Head);
                let (default, asked, plain) = (draw(sampler), draw(asked), draw(plain));
                assert_eq!(default.samples[0].x, asked.samples[0].x);
                assert_ne!(default.samples[0].x, plain.samples[0].x);
            }
            _ => assert!(matches!(heads, Err(TailSpecError::NoHeads { exits: true }))),
        }
    }
    assert!(matches!(TailSpec::Heads.build(None), Err(TailSpecError::NoHeads { exits: false })));
}

#[test]
fn full_depth_has_no_use_for_any_of_it() {
    let (_place, model) = model();
    let learned = LearnedConfig {
        heads: HeadKind::Linear,
        estimator: estimator(EstimatorKind::Paper),
        ..config(&model.sha256)
    };
    let exits = random(learned, 0.2);
    let base = || Sampler::new(model.share()).with_solver("ddim".parse().unwrap(), 3);
    let full = draw(base().with_exit(Full));
    let never = draw(sampler(&model, &exits, "uncertainty:0").with_tail(Heads::new(&exits).unwrap()));
    let residual = draw(sampler(&model, &exits, "uncertainty:0").with_tail(Forecast::residual()));
    for k in 0..4 {
        assert_eq!(full.samples[k].x, never.samples[k].x);
        assert_eq!(full.samples[k].x, residual.samples[k].x);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let (_place, model) = model();
    let learned = LearnedConfig { estimator: estimator(EstimatorKind::Paper), ..config(&model.sha256) };
    let exits = constant(learned.clone(), &[0.5, 0.5]);
    let build = |exit: &str, exits| exit.parse::<ExitSpec>().unwrap().build("schedules".as_ref(), exits);
    assert!(matches!(build("uncertainty:0.5", None), Err(ExitSpecError::NoLearnedExits { .. })));
    assert!(matches!(
        build("gate:0.5", Some(&exits)),
        Err(ExitSpecError::NotLearned { part: "gate", exit }) if exit == "gate:0.5"
    ));
    let gates = constant(LearnedConfig { gate: gate(2), estimator: None, ..learned.clone() }, &[0.5, 0.5]);
    assert!(matches!(
        build("uncertainty:0.5,max=2", Some(&gates)),
        Err(ExitSpecError::NotLearned { part: "estimator", exit }) if exit == "uncertainty:0.5"
    ));

    let check = |sampler: Sampler| match sampler.check(&Request::classes(0..1, 0)) {
        Err(Error::Exit(error)) => error,
        other => panic!("{other:?}"),
    };
    let error = check(sampler(&model, &exits, "uncertainty:0.5,max=4"));
    assert!(matches!(error, ExitError::Depth { asked: 4, depth: DEPTH, .. }), "{error}");
    let strange = constant(LearnedConfig { gate: gate(2), ..config(&learned_exits::sha()) }, &[0.5, 0.5]);
    let rule = "0.5".parse().unwrap();
    let exit = GateExit::new(rule, &strange).unwrap();
    let error = check(Sampler::new(model.share()).with_exit(exit));
    assert!(matches!(error, ExitError::OtherWeights { .. }), "{error}");
    assert!(Uncertainty::new(Threshold::new(0.5).unwrap(), &strange).is_err());
}
