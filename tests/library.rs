//! The sampler as a library call: events, cancelling, starts, guidance, and nothing left behind.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::thread;

use offramp::exit::{Fixed, Schedule};
use offramp::noise::{Draw, standard_normal};
use offramp::{Event, Guidance, Model, Outcome, Request, RequestError, Sampler};
use tch::{Kind, Tensor};

fn sampler() -> Sampler {
    Sampler::new(Model::open("weights/fashion-dit").unwrap())
        .with_solver("dpm-solver++2m".parse().unwrap(), 4)
        .with_batch(2)
        .with_threads(2)
}

fn equal(a: &Outcome, b: &Outcome) -> bool {
    a.samples.len() == b.samples.len() && a.samples.iter().zip(&b.samples).all(|(a, b)| a.x == b.x)
}

#[test]
fn every_evaluation_is_heard_on_the_callers_thread_in_order() {
    let caller = thread::current().id();
    let mut heard: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut finished = vec![];
    let mut observer = |event: &Event| {
        assert_eq!(thread::current().id(), caller);
        match event {
            Event::Evaluated(e) => {
                assert_eq!(e.evaluations, 4);
                assert_eq!((e.x.size(), e.x0.size()), (vec![1, 28, 28], vec![1, 28, 28]));
                heard.entry(e.image).or_default().push(e.evaluation);
            }
            Event::Finished(sample) => finished.push(sample.image),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    sampler().sample(&Request::classes([1, 2, 3, 4, 5], 0), &mut observer).unwrap();
    assert_eq!(heard, (0..5).map(|k| (k, vec![0, 1, 2, 3])).collect());
    finished.sort_unstable();
    assert_eq!(finished, [0, 1, 2, 3, 4]);
}

#[test]
fn a_cancelled_run_keeps_what_was_finished_and_leaves_no_trace_in_the_sampler() {
    let sampler = sampler().with_threads(1);
    let request = Request::classes([1, 2, 3, 4, 5, 6], 9);
    let fresh = sampler.sample(&request, &mut ()).unwrap();
    let mut break_off = |event: &Event| match event {
        Event::Evaluated(e) if e.image == 3 && e.evaluation == 1 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let cancelled = sampler.sample(&request, &mut break_off).unwrap();
    assert!(cancelled.cancelled);
    assert_eq!(cancelled.samples.iter().map(|s| s.image).collect::<Vec<_>>(), [0, 1]);
    for (a, b) in cancelled.samples.iter().zip(&fresh.samples) {
        assert_eq!(a.x, b.x);
    }
    assert!(equal(&sampler.sample(&request, &mut ()).unwrap(), &fresh));
}

#[test]
fn given_noise_starts_where_the_seeds_would() {
    let noise: Vec<Tensor> =
        (0..3).map(|k| standard_normal(30 + k, Draw::Initial, [1, 28, 28]).unwrap()).collect();
    let seeded = sampler().sample(&Request::classes([1, 2, 3], 30), &mut ()).unwrap();
    let request = Request::classes([1, 2, 3], 0).with_noise(Tensor::stack(&noise, 0));
    assert!(equal(&sampler().sample(&request, &mut ()).unwrap(), &seeded));
}

#[test]
fn image_to_image_keeps_more_of_the_image_the_weaker_it_is() {
    let start = sampler().sample(&Request::classes([8], 2), &mut ()).unwrap().samples.remove(0).x;
    let far = |strength: f64| {
        let sampler = sampler().with_solver("dpm-solver++2m".parse().unwrap(), 20);
        let request = Request::classes([8], 3).with_init(start.shallow_clone(), strength);
        let outcome = sampler.sample(&request, &mut ()).unwrap();
        let evaluations = outcome.samples[0].depths.len();
        assert_eq!(evaluations, (20.0 * strength).floor() as usize);
        (&outcome.samples[0].x - &start).square().mean(Kind::Float).double_value(&[])
    };
    let (weak, strong) = (far(0.2), far(0.9));
    assert!(weak < strong, "{weak} at strength 0.2, {strong} at 0.9");
}

#[test]
fn guidance_acts_inside_its_interval_only_and_costs_only_there() {
    let request = Request::classes([0, 6], 4);
    let draw = |guidance| sampler().with_guidance(guidance).sample(&request, &mut ()).unwrap();
    let plain = draw(Guidance::NONE);
    let mut never = Guidance::scale(3.0);
    never.interval = [-5.0, -1.0];
    assert!(equal(&draw(never), &plain));
    let always = draw(Guidance::scale(3.0));
    assert!(!equal(&always, &plain));
    assert_eq!(always.samples[0].full_cost, 8.0);
    // Of the 4 evaluations at t = 999, 749, 500 and 250, two lie inside.
    let mut sometimes = Guidance::scale(3.0);
    sometimes.interval = [400.0, 800.0];
    assert_eq!(draw(sometimes).samples[0].full_cost, 6.0);
}

#[test]
fn images_that_are_done_are_not_drawn_and_change_nothing_for_the_others() {
    let mut request = Request::classes([0, 1, 2, 3, 4], 50);
    let all = sampler().sample(&request, &mut ()).unwrap();
    request.done = [0, 1, 3].into();
    let mut heard = std::collections::BTreeSet::new();
    let mut observer = |event: &Event| {
        heard.insert(event.image());
        ControlFlow::Continue(())
    };
    let rest = sampler().sample(&request, &mut observer).unwrap();
    assert_eq!(rest.samples.iter().map(|s| s.image).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(heard, [2, 4].into());
    assert_eq!(rest.samples[0].x, all.samples[2].x);
    assert_eq!(rest.samples[1].x, all.samples[4].x);
}

#[test]
fn depths_are_the_schedules_and_the_cost_follows() {
    let schedule = Schedule::read("schedules/fashion-dit/ase-demo.json").unwrap();
    let sampler =
        sampler().with_exit(schedule.clone()).with_solver("ddim:spacing=trailing".parse().unwrap(), 10);
    let request = Request::classes([5, 5, 5], 1);
    let outcome = sampler.sample(&request, &mut ()).unwrap();
    let expected: Vec<usize> =
        sampler.evaluations(&request).unwrap().iter().map(|e| schedule.depth_at(e.node.t)).collect();
    for sample in &outcome.samples {
        assert_eq!(sample.depths, expected);
    }
    let share = expected.iter().sum::<usize>() as f64 / 120.0;
    assert!((outcome.cost_share() - share).abs() < 1e-12);
    assert!((outcome.mean_depth() - 12.0 * share).abs() < 1e-12);
}

#[test]
fn what_cannot_be_is_refused_before_anything_runs() {
    let mut never = |_: &Event| -> ControlFlow<()> { panic!("something ran") };
    let mut refused = |sampler: Sampler, request: Request| sampler.sample(&request, &mut never).unwrap_err();
    let error = refused(sampler(), Request::classes([], 0));
    assert!(matches!(error, offramp::Error::Request(RequestError::NoImages)));
    let error = refused(sampler(), Request::classes([10], 0));
    assert!(matches!(error, offramp::Error::Request(RequestError::Class { got: 10, classes: 10 })));
    let error = refused(sampler().with_exit(Fixed { depth: 13 }), Request::classes([1], 0));
    assert!(error.is_bad_input() && error.to_string().contains("13"), "{error}");
    let error = refused(sampler().with_batch(0), Request::classes([1], 0));
    assert!(error.is_bad_input(), "{error}");
    let spec = "ddpm:variance=learned_range".parse().unwrap();
    let error = refused(sampler().with_solver(spec, 4), Request::classes([1], 0));
    assert!(error.is_bad_input() && error.to_string().contains("learned_range"), "{error}");
    let noise = Tensor::zeros([2, 1, 28, 28], (Kind::Float, tch::Device::Cpu));
    let error = refused(sampler(), Request::classes([1], 0).with_noise(noise));
    assert!(error.to_string().contains("[2, 1, 28, 28]"), "{error}");
}

#[test]
fn the_callers_thread_setting_survives_a_run() {
    let before = tch::get_num_threads();
    sampler().with_threads(1).sample(&Request::classes([1], 0), &mut ()).unwrap();
    assert_eq!(tch::get_num_threads(), before);
}
