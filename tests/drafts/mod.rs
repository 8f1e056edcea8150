//! Images drawn in verify mode with the x of their evaluations, and how far each step is from the full one, by hand.

#![allow(dead_code, reason = "each test crate uses its own part")]

#[path = "../two_sigma_model/mod.rs"]
pub mod two_sigma_model;

use std::ops::ControlFlow;

use offramp::backbone::Input;
use offramp::solver::{History, Node, Plan, Prediction, SolverSpec, StartAt, advance};
use offramp::{Event, Guidance, Model, Request, Sample, Sampler, Verify};
use serde_json::json;
use tch::{Kind, Tensor};

/// Deterministic solvers of every kind: one call a step, two, several steps, single steps, a corrector.
pub const SOLVERS: [&str; 7] =
    ["ddim", "euler", "heun", "dpm-solver++2m", "dpm-solver++3m", "dpm-solver++2s", "unipc:order=3"];
pub const SEED: u64 = 30;

/// Random weights, with predictions held in the range of images so that numbers compare.
pub fn model() -> Model {
    two_sigma_model::model(|config| config["x0_clip"] = json!("range"))
}

pub fn guidance(which: usize) -> Guidance {
    match which {
        0 => Guidance::NONE,
        1 => Guidance::scale(2.0),
        _ => Guidance { interval: [150.0, 700.0], ..Guidance::scale(2.0) },
    }
}

pub fn verify(steps: usize, tolerance: f64) -> Verify {
    Verify { steps, tolerance }
}

pub fn request(images: usize) -> Request {
    Request::classes((0..images as i64).map(|k| k % 4), SEED)
}

/// A finished image and the x of its evaluations, `[C, H, W]`.
pub struct Drawn {
    pub sample: Sample,
    pub path: Vec<Tensor>,
}

/// Draws images and checks that each of their evaluations is heard once, in order.
pub fn draw(sampler: &Sampler, request: &Request) -> Vec<Drawn> {
    let mut paths: Vec<Vec<Tensor>> = request.classes.iter().map(|_| vec![]).collect();
    let mut depths: Vec<Vec<usize>> = request.classes.iter().map(|_| vec![]).collect();
    let outcome = sampler
        .sample(request, &mut |event: &Event| {
            if let Event::Evaluated(e) = event {
                assert_eq!(e.evaluation, paths[e.image].len(), "image {}", e.image);
                paths[e.image].push(e.x.copy());
                depths[e.image].push(e.depth);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    let drawn = |(sample, path): (Sample, Vec<Tensor>)| Drawn { sample, path };
    let drawn: Vec<Drawn> = outcome.samples.into_iter().zip(paths).map(drawn).collect();
    for (Drawn { sample, .. }, heard) in drawn.iter().zip(depths) {
        assert_eq!(sample.depths, heard);
        assert!(sample.accepted <= sample.drafted);
    }
    drawn
}

pub fn plan(model: &Model, solver: &str, steps: usize) -> Plan {
    solver.parse::<SolverSpec>().unwrap().plan(&model.diffusion, steps, StartAt::Noise).unwrap()
}

/// The full network's prediction for one image, `x` `[1, C, H, W]`.
pub fn in_full(model: &Model, guidance: Guidance, x: &Tensor, node: Node, class: Option<i64>) -> Prediction {
    let null = model.config.null_class.unwrap();
    let guided = guidance.acts_at(node.t) && class.is_some();
    let classes = &[class.unwrap_or(null), null][..1 + usize::from(guided)];
    let rows = classes.len() as i64;
    let input = Input {
        x: &x.repeat([rows, 1, 1, 1]),
        t: &Tensor::full([rows], node.t, (Kind::Float, tch::Device::Cpu)),
        class: &Tensor::from_slice(classes),
    };
    let net = &model.backbone;
    let mut state = net.begin(&input).unwrap();
    (0..net.depth()).for_each(|i| net.block(i, &mut state).unwrap());
    let output = net.finish(net.depth(), state).unwrap().narrow(1, 0, x.size()[1]);
    let eps = match guided {
        true => output.get(1) + (output.get(0) - output.get(1)) * guidance.scale,
        false => output.get(0),
    };
    let (diffusion, clip) = (&model.config.diffusion, model.config.x0_clip);
    Prediction::new(x, &eps.unsqueeze(0), None, &[node], diffusion.prediction, clip, (-1.0, 1.0)).unwrap()
}

/// How far each step of an image is from the full step, whose predictions are the full network's at all points of the
/// image's trajectory so far.
pub fn deviations(model: &Model, plan: &Plan, guidance: Guidance, drawn: &Drawn) -> Vec<f64> {
    let mut history = History::new();
    let ends = drawn.path[1..].iter().chain([&drawn.sample.x]);
    let steps = drawn.path.iter().zip(ends).enumerate();
    let off = steps.map(|(e, (x, end))| {
        let x = x.unsqueeze(0);
        let said = in_full(model, guidance, &x, plan.evaluations()[e].node, drawn.sample.class);
        let next = advance(plan, &[e], &x, &said, &mut [&mut history], |_| unreachable!()).unwrap().x;
        (next.get(0) - end).square().mean(Kind::Double).double_value(&[]).sqrt()
    });
    off.collect()
}

pub fn assert_close(a: &Sample, b: &Sample, what: &str) {
    let difference = (&a.x - &b.x).abs().max().double_value(&[]);
    assert!(difference <= 1e-4, "{what}, image {}: {difference:.1e}", a.image);
}

/// A tolerance between those that let nothing and everything through.
pub fn middle(deviations: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = deviations.into_iter().collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
