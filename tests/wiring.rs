//! What the sampler carries between its parts: a network with learned variance, sampled, against a straight
//! loop; and tails and observers of the test's own, that say what they were given.

mod two_sigma_model;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use offramp::exit::{Fixed, Full};
use offramp::noise::{Draw, standard_normal};
use offramp::solver::{PredictionType, SolverSpec, StartAt, X0Clip};
use offramp::tail::Tail;
use offramp::{Event, Guidance, GuidedChannels};
use serde_json::json;
use tch::{TchError, Tensor};
use two_sigma_model::straight_line::{Guided, Loop};
use two_sigma_model::*;

// ---- the network's output to a prediction

#[test]
fn a_network_is_sampled_as_the_prediction_type_that_its_config_names() {
    let _alone = alone();
    let draw = |name: &str, prediction| {
        let model = model(|config| config["diffusion"]["prediction"] = json!(name));
        let ours = images(&sampler(&model), &request());
        assert_eq!(ours, Loop { prediction, ..straight(&model, "ddim") }.run(), "{name}");
        ours
    };
    let eps = draw("epsilon", PredictionType::Epsilon);
    let v = draw("v_prediction", PredictionType::VPrediction);
    let x0 = draw("sample", PredictionType::Sample);
    assert!(eps != v && v != x0 && x0 != eps);
}

#[test]
fn a_learned_variance_is_split_off_behind_the_prediction() {
    let _alone = alone();
    let model = model(|_| ());
    for solver in ["ddpm:variance=learned_range", "ddpm", "dpm-solver++2m", "euler"] {
        assert_eq!(
            images(&with_solver(&model, solver), &request()),
            straight(&model, solver).run(),
            "{solver}"
        );
    }
}

#[test]
fn the_clip_of_the_config_reaches_the_prediction() {
    let _alone = alone();
    let none = model(|_| ());
    let none = images(&sampler(&none), &request());
    for (text, clip) in [
        (json!("range"), X0Clip::Range),
        (json!({ "dynamic": { "ratio": 0.9, "max": 1.5 } }), X0Clip::Dynamic { ratio: 0.9, max: 1.5 }),
    ] {
        let model = model(|config| config["x0_clip"] = text);
        let ours = images(&sampler(&model), &request());
        assert_eq!(ours, Loop { clip, ..straight(&model, "ddim") }.run(), "{clip:?}");
        assert_ne!(ours, none, "{clip:?}");
    }
}

// ---- guidance

#[test]
fn guidance_acts_on_the_channels_asked_for_and_the_rest_is_the_conditional_halfs() {
    let _alone = alone();
    let model = model(|_| ());
    for solver in ["ddpm:variance=learned_range", "dpm-solver++2m"] {
        let draw = |channels, guided| {
            let guidance = Guidance { channels, ..Guidance::scale(2.0) };
            let ours = images(&with_solver(&model, solver).with_guidance(guidance), &request());
            let guided = Some(Guided { scale: 2.0, channels: guided, null: 5 });
            assert_eq!(ours, Loop { guided, ..straight(&model, solver) }.run(), "{solver}, {channels:?}");
            ours
        };
        let (two, all) = (draw(GuidedChannels::First(2), 2), draw(GuidedChannels::All, 3));
        assert_ne!(two, all, "{solver}");
        assert_eq!(draw(GuidedChannels::First(3), 3), all, "{solver}");
    }
}

#[test]
fn both_ends_of_the_guidance_interval_are_real_times_inside_it() {
    let _alone = alone();
    let model = model(|_| ());
    let t = times(&model, "euler");
    assert!(t[1].fract() != 0.0 && t[2].fract() != 0.0, "{t:?}");
    let rows = |interval| {
        let guidance = Guidance { interval, ..Guidance::scale(2.0) };
        let outcome =
            with_solver(&model, "euler").with_guidance(guidance).sample(&request(), &mut ()).unwrap();
        outcome.samples[0].full_cost
    };
    assert_eq!(rows([t[2], t[1]]), 7.0);
    assert_eq!(rows([t[2], t[2]]), 6.0);
    assert_eq!(rows([t[2].next_up(), t[1].next_down()]), 5.0);
    assert_eq!(rows([t[2].next_down(), t[0]]), 8.0);
}

// ---- what is told

#[test]
fn the_observer_hears_the_plans_times_and_the_x_that_goes_in() {
    let _alone = alone();
    let model = model(|_| ());
    let (mut t, mut first) = (vec![], vec![]);
    let mut observer = |event: &Event| {
        if let Event::Evaluated(e) = event {
            t.push((e.image, e.evaluation, e.t));
            first.extend((e.evaluation == 0).then(|| e.x.copy()));
        }
        ControlFlow::Continue(())
    };
    with_solver(&model, "euler").sample(&request(), &mut observer).unwrap();
    let planned = times(&model, "euler");
    let expected: Vec<_> = (0..STEPS).flat_map(|e| [(0, e, planned[e]), (1, e, planned[e])]).collect();
    assert_eq!(t, expected);
    assert_eq!(Tensor::stack(&first, 0), initial_noise());
}

#[test]
fn image_to_image_starts_from_the_image_noised_to_the_first_nodes_level() {
    let _alone = alone();
    let model = model(|_| ());
    let x0 = standard_normal(99, Draw::Initial, CHW).unwrap().clamp(-1.0, 1.0);
    let spec: SolverSpec = "ddim".parse().unwrap();
    let node = spec.plan(&model.diffusion, STEPS, StartAt::Strength(0.5)).unwrap().evaluations()[0].node;
    assert!(node.alpha > 0.1 && node.sigma > 0.1, "{node:?}");
    let given = standard_normal(5, Draw::Initial, [2, 3, 64]).unwrap().view([2, 3, 8, 8]);
    for (noise, request) in [(initial_noise(), request()), (given.copy(), request().with_noise(given.copy()))]
    {
        let mut first = vec![];
        let mut observer = |event: &Event| {
            if let Event::Evaluated(e) = event {
                first.extend((e.evaluation == 0).then(|| e.x.copy()));
            }
            ControlFlow::Continue(())
        };
        let request = request.with_init(x0.copy(), 0.5);
        sampler(&model).sample(&request, &mut observer).unwrap();
        assert_eq!(Tensor::stack(&first, 0), &x0 * node.alpha + noise * node.sigma);
    }
}

// ---- the tail

/// A depth and the shape of the state there.
type Asked = (usize, Vec<i64>);

/// Halves the state, and notes at which depths it was asked for which shapes.
#[derive(Clone, Default)]
struct Half {
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Tail for Half {
    fn spec(&self) -> String {
        "half".into()
    }

    fn stand_in(&self, depth: usize, a: &Tensor) -> Result<Tensor, TchError> {
        self.asked.lock().unwrap().push((depth, a.size()));
        a.f_mul_scalar(0.5)
    }

    fn share(&self) -> Box<dyn Tail> {
        Box::new(self.clone())
    }
}

#[test]
fn a_tail_stands_in_for_skipped_blocks() {
    let _alone = alone();
    let model = model(|_| ());
    for depth in [1, 2] {
        let tail = Half::default();
        let ours = images(&sampler(&model).with_exit(Fixed { depth }).with_tail(tail.clone()), &request());
        let stand_in = |a: &Tensor| a * 0.5;
        assert_eq!(ours, Loop { depth, stand_in: &stand_in, ..straight(&model, "ddim") }.run());
        assert_ne!(ours, Loop { depth, ..straight(&model, "ddim") }.run());
        assert_eq!(*tail.asked.lock().unwrap(), vec![(depth, vec![2, 16, 32]); STEPS]);
    }
}

#[test]
fn at_full_depth_no_tail_is_asked() {
    let _alone = alone();
    let model = model(|_| ());
    let tail = Half::default();
    let ours = images(&sampler(&model).with_exit(Full).with_tail(tail.clone()), &request());
    assert_eq!(ours, straight(&model, "ddim").run());
    assert!(tail.asked.lock().unwrap().is_empty());
}
