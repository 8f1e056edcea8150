//! `full` is the plain network, bit for bit: the sampler against a straight-line forward in a plain loop.

mod straight_line;

use offramp::noise::{Draw, standard_normal};
use offramp::solver::{History, Prediction, PredictionType, Solver, SolverSpec, StartAt, X0Clip, advance};
use offramp::{Guidance, Model, Request, Sampler};
use straight_line::Plain;
use tch::{Kind, Tensor};

const IMAGES: usize = 3;
const STEPS: usize = 4;

/// Images of classes 0, 1, 2 from seeds 5, 6, 7, without exit, tail or sampler.
fn plain_loop(solver: &SolverSpec, scale: f64) -> Tensor {
    let net = Plain::fashion();
    let model = Model::open("weights/fashion-dit").unwrap();
    let Solver::Plan(plan) = solver.build(&model.diffusion, STEPS, StartAt::Noise).unwrap() else {
        panic!("{solver} is not a plan");
    };
    let noise = |e| -> Vec<Tensor> {
        (0..IMAGES).map(|k| standard_normal(5 + k as u64, e, [1, 28, 28]).unwrap()).collect()
    };
    let mut histories: Vec<History> = (0..IMAGES).map(|_| History::new()).collect();
    let mut x = Tensor::stack(&noise(Draw::Initial), 0);
    for (e, evaluation) in plan.evaluations().iter().enumerate() {
        let node = evaluation.node;
        let classes: Vec<i64> = (0..IMAGES as i64).flat_map(|k| [k, 10]).collect();
        let eps = if scale == 1.0 {
            let t = Tensor::full([IMAGES as i64], node.t, (Kind::Float, tch::Device::Cpu));
            net.forward(&x, &t, &Tensor::from_slice(&[0i64, 1, 2]))
        } else {
            let t = Tensor::full([2 * IMAGES as i64], node.t, (Kind::Float, tch::Device::Cpu));
            let both = x.repeat_interleave_self_int(2, 0, None);
            let out =
                net.forward(&both, &t, &Tensor::from_slice(&classes)).view([IMAGES as i64, 2, 1, 28, 28]);
            let (c, u) = (out.select(1, 0), out.select(1, 1));
            &u + (c - &u) * scale
        };
        let nodes = [node; IMAGES];
        let prediction =
            Prediction::new(&x, &eps, None, &nodes, PredictionType::Epsilon, X0Clip::Range, (-1.0, 1.0))
                .unwrap();
        let z = noise(Draw::Evaluation(e));
        let mut histories: Vec<&mut History> = histories.iter_mut().collect();
        let z = |row: usize| Ok(z[row].shallow_clone());
        x = advance(&plan, &[e; IMAGES], &x, &prediction, &mut histories, z).unwrap().x;
    }
    x
}

fn check(solver: &str, scale: f64) {
    let _no_grad = tch::no_grad_guard();
    tch::set_num_threads(1);
    let solver: SolverSpec = solver.parse().unwrap();
    let sampler = Sampler::new(Model::open("weights/fashion-dit").unwrap())
        .with_solver(solver, STEPS)
        .with_guidance(Guidance::scale(scale))
        .with_batch(IMAGES)
        .with_threads(1);
    let outcome = sampler.sample(&Request::classes([0, 1, 2], 5), &mut ()).unwrap();
    let ours = Tensor::stack(&outcome.samples.iter().map(|s| &s.x).collect::<Vec<_>>(), 0);
    let plain = plain_loop(&solver, scale);
    assert!(plain.abs().max().double_value(&[]) > 0.5, "the plain images are blank");
    assert_eq!(ours, plain, "{solver}, guidance {scale}");
}

#[test]
fn ddim() {
    check("ddim", 1.0);
}

#[test]
fn dpm_solver_pp_with_guidance() {
    check("dpm-solver++2m", 1.5);
}

#[test]
fn a_stochastic_solver() {
    check("euler-ancestral", 1.0);
}

#[test]
fn a_corrector_and_several_evaluations_a_step() {
    check("unipc", 1.0);
    check("heun", 1.0);
}
