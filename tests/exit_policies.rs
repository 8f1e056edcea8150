//! What a policy is shown and what its word does, and what is refused before anything runs.

mod made_up_policy;
mod two_sigma_model;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use made_up_policy::{Policy, all};
use offramp::exit::{Bounds, ExitError, Provenance, Schedule, ScheduleError, Segment, Verdict, View};
use offramp::{Error, Event, Guidance, Model, RequestError};
use tch::{Kind, Tensor};
use two_sigma_model::straight_line::{Guided, Loop};
use two_sigma_model::*;

const WHOLE: Bounds = Bounds { min: 1, max: DEPTH };

fn depths(model: &Model, policy: Policy) -> Vec<usize> {
    sampler(model).with_exit(policy).sample(&request(), &mut ()).unwrap().samples.remove(1).depths
}

#[test]
fn bounds_out_of_range_are_brought_into_it() {
    let _alone = alone();
    let model = model(|_| ());
    // Never leaving by itself, an image goes as far as `max`; leaving at once, as far as `min`.
    for (min, max, shallowest, deepest) in [
        (1, 3, 1, 3),
        (0, 0, 1, 1),
        (0, 2, 1, 2),
        (2, 9, 2, 3),
        (5, 9, 3, 3),
        (2, 1, 2, 2),
        (7, 1, 3, 3),
        (0, usize::MAX, 1, 3),
    ] {
        let bounds = Bounds { min, max };
        let found = depths(&model, Policy::new(bounds, |view| Ok(Some(all(true, view)))));
        assert_eq!(found, [shallowest; STEPS], "{bounds:?}");
        let found = depths(&model, Policy::new(bounds, |view| Ok(Some(all(false, view)))));
        assert_eq!(found, [deepest; STEPS], "{bounds:?}");
    }
}

#[test]
fn a_policy_is_asked_after_every_block_between_its_bounds() {
    let _alone = alone();
    let model = model(|_| ());
    for (min, max, expected) in [(1, 3, vec![1, 2]), (2, 3, vec![2]), (1, 2, vec![1]), (3, 3, vec![])] {
        let asked = Arc::new(Mutex::new(vec![]));
        let log = asked.clone();
        let policy = Policy::new(Bounds { min, max }, move |view| {
            log.lock().unwrap().push(view.depth);
            Ok(Some(all(false, view)))
        });
        depths(&model, policy);
        assert_eq!(*asked.lock().unwrap(), expected.repeat(STEPS), "{min} to {max}");
    }
}

#[test]
fn verdicts_must_be_as_many_as_rows() {
    let _alone = alone();
    let model = model(|_| ());
    for got in [0, 1, 3] {
        let verdict = Verdict { leave: true, uncertainty: 0.0, limit: None };
        let policy = Policy::new(WHOLE, move |_| Ok(Some(vec![verdict; got])));
        let error = sampler(&model).with_exit(policy).sample(&request(), &mut ()).unwrap_err();
        assert!(!error.is_bad_input());
        match error {
            Error::Exit(ExitError::Verdicts { exit, expected: 2, got: found }) => {
                assert_eq!((exit.as_str(), found), ("made-up", got));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_policys_own_failure_ends_the_run() {
    let _alone = alone();
    let model = model(|_| ());
    let policy = Policy::new(WHOLE, |view| match view.depth {
        1 => Ok(Some(all(false, view))),
        _ => Err(ExitError::Policy { exit: "made-up".into(), source: "out of luck".into() }),
    });
    let error = sampler(&model).with_exit(policy).sample(&request(), &mut ()).unwrap_err();
    assert!(matches!(error, Error::Exit(ExitError::Policy { .. })));
    assert_eq!(error.to_string(), "exit made-up: out of luck");
}

#[test]
fn a_policy_that_never_looks_runs_to_its_upper_bound() {
    let _alone = alone();
    assert_eq!(depths(&model(|_| ()), Policy::new(Bounds { min: 1, max: 2 }, |_| Ok(None))), [2; STEPS]);
}

#[test]
fn a_guided_image_leaves_when_both_rows_may_and_reports_the_higher_uncertainty() {
    let _alone = alone();
    let model = model(|_| ());
    for (conditional, unconditional, depth) in
        [(true, false, DEPTH), (false, true, DEPTH), (false, false, DEPTH), (true, true, 1)]
    {
        let policy = Policy::new(WHOLE, move |view| {
            let verdict = |leave, uncertainty| Verdict { leave, uncertainty, limit: None };
            let pair = [verdict(conditional, 0.25), verdict(unconditional, 0.75)];
            Ok(Some(pair.repeat(view.t.len() / 2)))
        });
        let sampler = sampler(&model).with_exit(policy).with_guidance(Guidance::scale(2.0));
        let sample = sampler.sample(&request(), &mut ()).unwrap().samples.remove(1);
        assert_eq!(sample.depths, [depth; STEPS], "{conditional}, {unconditional}");
        assert_eq!(sample.uncertainties, [Some(0.75); STEPS]);
    }
}

/// What a policy was shown.
#[derive(Debug)]
struct Seen {
    depth: usize,
    hidden: Tensor,
    previous: Tensor,
    temb: Tensor,
    head: Tensor,
    t: Vec<f64>,
    image: Vec<usize>,
    memory: Vec<Vec<f64>>,
}

impl Seen {
    fn of(view: &View) -> Self {
        Self {
            depth: view.depth,
            hidden: view.hidden.copy(),
            previous: view.previous.copy(),
            temb: view.temb.copy(),
            head: (view.head)().unwrap(),
            t: view.t.to_vec(),
            image: view.image.to_vec(),
            memory: view.memory.to_vec(),
        }
    }
}

type Log = Arc<Mutex<Vec<Seen>>>;

/// A policy that notes all that it sees; rows of image k leave where `leave(depth, k)`. Its memory counts the
/// rows that it has been asked about, and marks the image with 10 + k.
fn watching(leave: fn(usize, usize) -> bool) -> (Policy, Log) {
    let log = Log::default();
    let seen = log.clone();
    let policy = Policy::new(WHOLE, move |view| {
        seen.lock().unwrap().push(Seen::of(view));
        for &k in view.image {
            view.memory[k][0] += 1.0;
            view.memory[k][1] = 10.0 + k as f64;
        }
        let verdict = |&k: &usize| Verdict { leave: leave(view.depth, k), uncertainty: 0.5, limit: None };
        Ok(Some(view.image.iter().map(verdict).collect()))
    });
    (policy, log)
}

#[test]
fn a_policy_sees_the_rows_that_are_left_as_the_network_has_them() {
    let _alone = alone();
    let model = model(|_| ());
    let (policy, log) = watching(|_, k| k == 0);
    sampler(&model).with_exit(policy).sample(&request(), &mut ()).unwrap();
    let log = log.lock().unwrap();
    let t = times(&model, "ddim");

    // Image 0 leaves after block 0; of image 1 the policy is asked twice.
    for (e, pair) in log.chunks(2).enumerate() {
        assert_eq!((pair[0].depth, &pair[0].image, &pair[0].t), (1, &vec![0, 1], &vec![t[e]; 2]));
        assert_eq!((pair[1].depth, &pair[1].image, &pair[1].t), (2, &vec![1], &vec![t[e]]));
    }
    let net = &model.backbone;
    let mut state = straight(&model, "ddim").begin(&initial_noise(), t[0]);
    let embedded = state.hidden.shallow_clone();
    net.block(0, &mut state).unwrap();
    let first = &log[0];
    assert_eq!((first.hidden.size(), first.temb.size()), (vec![2, 16, 32], vec![2, 32]));
    assert_eq!(first.head.size(), [2, 6, 8, 8]);
    assert_eq!((&first.previous, &first.hidden, &first.temb), (&embedded, &state.hidden, &state.temb));
    assert_eq!(first.head, net.finish(1, state.share()).unwrap());

    let mut state = state.select(&[1]).unwrap();
    let before = state.hidden.shallow_clone();
    net.block(1, &mut state).unwrap();
    let second = &log[1];
    assert_eq!((second.hidden.size(), second.temb.size()), (vec![1, 16, 32], vec![1, 32]));
    assert_eq!((&second.previous, &second.hidden, &second.temb), (&before, &state.hidden, &state.temb));
    assert_eq!(second.head, net.finish(2, state).unwrap());
}

#[test]
fn the_head_shown_to_a_policy_is_what_an_exit_there_gives() {
    let _alone = alone();
    let model = model(|_| ());
    let heads = |leave: fn(usize, usize) -> bool| {
        let (policy, log) = watching(leave);
        let sampler = sampler(&model).with_exit(policy).with_guidance(Guidance::scale(2.0));
        (images(&sampler, &request()), log)
    };
    let (left, log) = heads(|depth, _| depth == 2);
    let guided = Some(Guided { scale: 2.0, channels: 3, null: 5 });
    assert_eq!(left, Loop { guided, depth: 2, ..straight(&model, "ddim") }.run());
    let log = log.lock().unwrap();
    assert!(log.iter().all(|seen| seen.image == [0, 0, 1, 1] && seen.t.len() == 4));
    let guided = Loop { guided, ..straight(&model, "ddim") };
    let mut state = guided.begin(&initial_noise(), times(&model, "ddim")[0]);
    for (i, seen) in log[..2].iter().enumerate() {
        model.backbone.block(i, &mut state).unwrap();
        assert_eq!(seen.head, model.backbone.finish(i + 1, state.share()).unwrap(), "depth {}", i + 1);
    }
}

#[test]
fn memory_is_each_images_own_from_zero_and_kept_between_evaluations() {
    let _alone = alone();
    let model = model(|_| ());
    // Asked twice an evaluation, at depths 1 and 2.
    let asks = 2 * STEPS;
    let mark = |n: usize, k: usize| if n == 0 { 0.0 } else { 10.0 + k as f64 };

    let (policy, log) = watching(|_, _| false);
    let alone = sampler(&model).with_exit(policy).with_batch(1);
    for _request in 0..2 {
        alone.sample(&request(), &mut ()).unwrap();
        let seen: Vec<_> = log.lock().unwrap().drain(..).map(|s| s.memory).collect();
        let each: Vec<_> = (0..asks).map(|n| vec![vec![n as f64, mark(n, 0)]]).collect();
        assert_eq!(seen, [each.clone(), each].concat());
    }

    let (policy, log) = watching(|_, _| false);
    let guided = sampler(&model).with_exit(policy).with_guidance(Guidance::scale(2.0));
    for _request in 0..2 {
        guided.sample(&request(), &mut ()).unwrap();
        let seen: Vec<_> = log.lock().unwrap().drain(..).map(|s| s.memory).collect();
        // Both rows of an image count into the same memory.
        let both = |n: usize| [0, 1].map(|k| vec![2.0 * n as f64, mark(n, k)]).to_vec();
        assert_eq!(seen, (0..asks).map(both).collect::<Vec<_>>());
    }
}

// ---- what is refused before anything runs

fn schedule(model: &Model, segments: &[(f64, f64, usize)]) -> Schedule {
    Schedule {
        version: 1,
        name: "by-hand".into(),
        depth: DEPTH,
        timesteps: 1000,
        segments: segments.iter().map(|&(from, to, depth)| Segment { from, to, depth }).collect(),
        provenance: Provenance {
            method: "Made up for a test.".into(),
            source: "none".into(),
            weights_sha256: Some(model.sha256.clone()),
            exits_trained: false,
            measured: None,
        },
    }
}

#[test]
fn a_schedule_made_for_other_weights_is_refused() {
    let _alone = alone();
    let model = model(|_| ());
    let fitting = schedule(&model, &[(0.0, 1000.0, 2)]);
    sampler(&model).with_exit(fitting.clone()).check(&request()).unwrap();
    let mut any = fitting.clone();
    any.provenance.weights_sha256 = None;
    sampler(&model).with_exit(any).check(&request()).unwrap();
    let mut other = fitting;
    other.provenance.weights_sha256 = Some("0".repeat(64));
    let error = sampler(&model).with_exit(other).check(&request()).unwrap_err();
    assert!(error.is_bad_input());
    assert!(matches!(error, Error::Exit(ExitError::Schedule(ScheduleError::OtherWeights { .. }))), "{error}");
}

#[test]
fn a_schedule_made_by_hand_is_checked() {
    let _alone = alone();
    let model = model(|_| ());
    type Is = fn(&ScheduleError) -> bool;
    type Segments = [(f64, f64, usize)];
    let cases: [(&Segments, Is); 8] = [
        (&[], |e| matches!(e, ScheduleError::NoSegments { .. })),
        (&[(0.0, 400.0, 3), (500.0, 1000.0, 2)], |e| matches!(e, ScheduleError::Gap { .. })),
        (&[(0.0, 900.0, 3)], |e| matches!(e, ScheduleError::Gap { .. })),
        (&[(10.0, 1000.0, 3)], |e| matches!(e, ScheduleError::Gap { .. })),
        (&[(0.0, 600.0, 3), (500.0, 1000.0, 2)], |e| matches!(e, ScheduleError::Overlap { .. })),
        (&[(0.0, 1000.0, 40)], |e| matches!(e, ScheduleError::Depth { depth: 40, .. })),
        (&[(0.0, 1000.0, 0)], |e| matches!(e, ScheduleError::Depth { depth: 0, .. })),
        (&[(0.0, f64::NAN, 3)], |e| matches!(e, ScheduleError::Segment { .. })),
    ];
    for (segments, is) in cases {
        let exit = schedule(&model, segments);
        let error = sampler(&model).with_exit(exit).check(&request()).unwrap_err();
        assert!(error.is_bad_input());
        match &error {
            Error::Exit(ExitError::Schedule(error)) if is(error) => {}
            other => panic!("{segments:?}: {other}"),
        }
    }
}

#[test]
fn tensors_that_are_not_finite_f32_are_refused_before_anything_runs() {
    let _alone = alone();
    let model = model(|_| ());
    let (noise, image) = (initial_noise(), Tensor::zeros(CHW, tch::kind::FLOAT_CPU));
    let with_one = |tensor: &Tensor, value: f64| {
        let tensor = tensor.copy();
        let _ = tensor.view(-1).narrow(0, 7, 1).fill_(value);
        tensor
    };
    for (request, mention) in [
        (request().with_noise(noise.to_kind(Kind::Double)), "Double"),
        (request().with_noise(with_one(&noise, f64::NAN)), "NaN"),
        (request().with_noise(with_one(&noise, f64::INFINITY)), "infinity"),
        (request().with_init(image.to_kind(Kind::Double), 0.5), "Double"),
        (request().with_init(with_one(&image, f64::NAN), 0.5), "NaN"),
    ] {
        let error = sampler(&model).check(&request).unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains(mention), "{error}");
        assert!(matches!(error, Error::Request(RequestError::Values { .. })), "{error}");
        let (policy, log) = watching(|_, _| true);
        let mut never = |_: &Event| -> ControlFlow<()> { panic!("something was told") };
        let error = sampler(&model).with_exit(policy).sample(&request, &mut never).unwrap_err();
        assert!(matches!(error, Error::Request(RequestError::Values { .. })), "{error}");
        assert!(log.lock().unwrap().is_empty(), "something ran");
    }
}
