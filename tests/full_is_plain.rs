//! `full` is the plain network, bit for bit: the sampler against a straight-line forward in a plain loop.

mod learned_exits;
mod solver_fixture;
mod straight_line;
mod tiny_model;

use std::path::Path;

use learned_exits::{estimator, random};
use offramp::backbone::Input;
use offramp::exit::ExitSpec;
use offramp::learned::{EstimatorKind, HeadKind, LearnedConfig};
use offramp::noise::{Draw, standard_normal};
use offramp::solver::{History, Prediction, SolverError, SolverSpec, StartAt, advance};
use offramp::tail::TailSpec;
use offramp::{Guidance, Model, Request, Sampler};
use serde_json::{Value, json};
use straight_line::Plain;
use tch::{Kind, Tensor};
use tempfile::TempDir;

const IMAGES: usize = 3;
const STEPS: usize = 4;

/// ε, and what may stand behind it, `[R, C or 2C, H, W]`, of x, t and classes by row.
type Forward<'a> = dyn Fn(&Tensor, &Tensor, &Tensor) -> Tensor + 'a;

/// Images of classes 0, 1, 2 from seeds 5, 6, 7, without exit, tail or sampler.
fn plain_loop(model: &Model, forward: &Forward, solver: &SolverSpec, scale: f64) -> Tensor {
    let (config, n) = (&model.config, IMAGES as i64);
    let plan = solver.plan(&model.diffusion, STEPS, StartAt::Noise).unwrap();
    let shape = model.backbone.shape();
    let (channels, range) = (shape.channels, config.value_range.into());
    let noise = |e| -> Vec<Tensor> {
        (0..IMAGES).map(|k| standard_normal(5 + k as u64, e, shape.chw()).unwrap()).collect()
    };
    let mut histories: Vec<History> = (0..IMAGES).map(|_| History::new()).collect();
    let mut x = Tensor::stack(&noise(Draw::Initial), 0);
    for (e, evaluation) in plan.evaluations().iter().enumerate() {
        let node = evaluation.node;
        let out = if scale == 1.0 {
            let t = Tensor::full([n], node.t, (Kind::Float, tch::Device::Cpu));
            forward(&x, &t, &Tensor::from_slice(&[0i64, 1, 2]))
        } else {
            let t = Tensor::full([2 * n], node.t, (Kind::Float, tch::Device::Cpu));
            let classes: Vec<i64> = (0..n).flat_map(|k| [k, config.null_class.unwrap()]).collect();
            let out = forward(&x.repeat_interleave_self_int(2, 0, None), &t, &Tensor::from_slice(&classes));
            let (c, u) = (out.slice(0, 0, None, 2), out.slice(0, 1, None, 2));
            let eps = |out: &Tensor| out.slice(1, 0, channels, 1);
            Tensor::cat(&[eps(&u) + (eps(&c) - eps(&u)) * scale, c.slice(1, channels, None, 1)], 1)
        };
        let parts = out.split(channels, 1);
        let variance = parts.get(1).map(Tensor::shallow_clone);
        let (kind, clip) = (config.diffusion.prediction, config.x0_clip);
        let prediction =
            Prediction::new(&x, &parts[0], variance, &[node; IMAGES], kind, clip, range).unwrap();
        let z = noise(Draw::Evaluation(e));
        let mut histories: Vec<&mut History> = histories.iter_mut().collect();
        let z = |row: usize| Ok(z[row].shallow_clone());
        x = advance(&plan, &[e; IMAGES], &x, &prediction, &mut histories, z).unwrap().x;
    }
    x
}

/// The same images from the sampler.
fn ours(model: &Model, exit: &str, tail: &str, solver: &SolverSpec, scale: f64) -> Tensor {
    let (exit, tail): (ExitSpec, TailSpec) = (exit.parse().unwrap(), tail.parse().unwrap());
    let sampler = Sampler::new(model.share())
        .with_exit(exit.build("schedules".as_ref(), model.exits.as_ref()).unwrap())
        .with_tail(tail.build(model.exits.as_ref()).unwrap())
        .with_solver(*solver, STEPS)
        .with_guidance(Guidance::scale(scale))
        .with_batch(IMAGES)
        .with_threads(1);
    let outcome = sampler.sample(&Request::classes([0, 1, 2], 5), &mut ()).unwrap();
    Tensor::stack(&outcome.samples.iter().map(|s| &s.x).collect::<Vec<_>>(), 0)
}

/// Checks exits and tails that run to the end against the plain loop.
fn check(model: &Model, forward: &Forward, solver: &str, scale: f64, ways: &[(&str, &str)]) {
    let _no_grad = tch::no_grad_guard();
    tch::set_num_threads(1);
    let solver: SolverSpec = solver.parse().unwrap();
    let plain = plain_loop(model, forward, &solver, scale);
    assert!(plain.abs().max().double_value(&[]) > 0.5, "the plain images are blank");
    for (exit, tail) in ways {
        let ours = ours(model, exit, tail, &solver, scale);
        assert_eq!(ours, plain, "{solver}, guidance {scale}, {exit}, {tail}, {:?}", model.folder);
    }
}

#[test]
fn trained_weights() {
    let model = Model::open("weights/fashion-dit").unwrap();
    let net = Plain::fashion();
    let forward = |x: &Tensor, t: &Tensor, y: &Tensor| net.forward(x, t, y);
    let ways = [("full", "head"), ("full,warmup=2", "residual"), ("fixed:12", "forecast:2")];
    for (solver, scale) in
        [("ddim", 1.0), ("dpm-solver++2m", 1.5), ("euler-ancestral", 1.0), ("unipc", 1.0), ("heun", 1.0)]
    {
        check(&model, &forward, solver, scale, &ways);
    }
}

// ---- every solver, tail and kind of network, on small ones of random weights

/// The solvers that are offered, but for other libraries', some with options.
fn solvers() -> Vec<String> {
    let Err(SolverError::UnknownSolver { known, .. }) = "?".parse::<SolverSpec>() else {
        panic!("there is a solver \"?\"");
    };
    let mut names: Vec<String> =
        known.split(", ").filter(|n| !n.starts_with("diffusers:")).map(str::to_owned).collect();
    assert!(names.len() >= 16, "{names:?}");
    for options in ["ddim:eta=1", "ddpm:variance=fixed_large", "unipc:order=3", "euler:spacing=trailing"] {
        names.push(options.into());
    }
    names
}

const TAILS: [&str; 9] = [
    "head",
    "heads",
    "residual",
    "residual:over=heads",
    "forecast:1",
    "forecast:2",
    "forecast:3",
    "forecast:1,over=heads",
    "forecast:3,over=heads",
];

/// A model out of a description and its tensors, with estimators and heads at every exit.
fn model(config: &Value, write: impl FnOnce(&Path)) -> (TempDir, Model) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    write(&folder.path().join("model.safetensors"));
    let mut model = Model::open(folder.path()).unwrap();
    let c = &model.config;
    let side = (c.input_size / c.patch_size) as usize;
    let learned = LearnedConfig {
        width: c.hidden_size as usize,
        grid: [side, side],
        patch_outputs: (c.patch_size.pow(2) * c.in_channels) as usize,
        points: (1..c.depth).collect(),
        heads: HeadKind::Local,
        estimator: estimator(EstimatorKind::Paper),
        ..learned_exits::config(&model.sha256)
    };
    model.exits = Some(random(learned, 0.3));
    (folder, model)
}

fn check_all(model: &Model, forward: &Forward) {
    let depth = model.backbone.depth();
    let deepest = format!("fixed:{depth}");
    let mut ways: Vec<(&str, &str)> = TAILS.iter().map(|&tail| ("full", tail)).collect();
    for exit in ["full,warmup=2,cap=1", "full,pair=apart", &deepest, "uncertainty:0", "fixed:1,warmup=99"] {
        ways.extend(["head", "forecast:1,over=heads"].map(|tail| (exit, tail)));
    }
    let learned = model.backbone.learns_variance().then_some("ddpm:variance=learned_range".to_owned());
    for (k, solver) in solvers().into_iter().chain(learned).enumerate() {
        // Guided or not by turns, the other way round on networks of odd depth.
        let scale = if (k + depth).is_multiple_of(2) { 1.0 } else { 1.5 };
        check(model, forward, &solver, scale, &ways);
    }
}

#[test]
fn every_solver_and_tail_on_every_kind_of_network() {
    let variants: [&[(&str, Value)]; 4] = [
        &[],
        &[
            ("learn_sigma", json!(true)),
            ("in_channels", json!(3)),
            ("patch_size", json!(2)),
            ("num_heads", json!(4)),
            ("x0_clip", json!("none")),
        ],
        &[
            ("depth", json!(2)),
            ("mlp_ratio", json!(2)),
            ("x0_clip", json!({"dynamic": {"ratio": 0.9, "max": 2.0}})),
            ("diffusion", {
                let mut diffusion = tiny_model::config()["diffusion"].clone();
                diffusion["prediction"] = json!("v_prediction");
                diffusion["beta_schedule"] = json!("scaled_linear");
                diffusion
            }),
        ],
        &[
            ("depth", json!(4)),
            ("hidden_size", json!(48)),
            ("diffusion", {
                let mut diffusion = tiny_model::config()["diffusion"].clone();
                diffusion["prediction"] = json!("sample");
                diffusion
            }),
        ],
    ];
    for changes in variants {
        let mut config = tiny_model::config();
        for (key, value) in changes {
            config[key] = value.clone();
        }
        let tensors = tiny_model::to_safetensors(&tiny_model::tensors(&config));
        let (folder, model) = model(&config, |file| std::fs::write(file, &tensors).unwrap());
        let net = Plain::open(folder.path(), model.config.num_heads);
        check_all(&model, &|x: &Tensor, t: &Tensor, y: &Tensor| net.forward(x, t, y));
    }
}

/// Its forward is checked against Hugging Face's own in dit_parity.rs; here the blocks are simply run in a row.
#[test]
fn every_solver_and_tail_on_weights_in_hugging_faces_layout() {
    let fixture = solver_fixture::Fixture::open("dit_hf_a");
    let weight = |n: String| Some((n.strip_prefix("weights/")?.to_owned(), fixture.tensor(&n)));
    let weights: Vec<(String, Tensor)> = fixture.names().into_iter().filter_map(weight).collect();
    let (_folder, model) =
        model(&fixture.cases()[0], |file| Tensor::write_safetensors(&weights, file).unwrap());
    let net = model.backbone.share();
    let forward = move |x: &Tensor, t: &Tensor, class: &Tensor| {
        let mut state = net.begin(&Input { x, t, class }).unwrap();
        (0..net.depth()).for_each(|i| net.block(i, &mut state).unwrap());
        net.finish(net.depth(), state).unwrap()
    };
    check_all(&model, &forward);
}
