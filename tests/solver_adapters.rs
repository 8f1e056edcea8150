//! diffusers-rs's schedulers against our solvers, which share no code with them, and against Hugging Face's.

#![cfg(feature = "diffusers")]

mod solver_fixture;

use offramp::solver::{
    BetaSchedule, Diffusion, History, Node, Prediction, PredictionType, Solver, SolverSpec, StartAt, X0Clip,
    advance,
};
use solver_fixture::{Fixture, count, diffusion, text};
use tch::{Kind, Tensor};

const SHAPE: [i64; 4] = [2, 1, 3, 4];

fn predict(x: &Tensor, node: Node) -> Prediction {
    let wide = x.to_kind(Kind::Double);
    let eps: Tensor = &wide * 0.8 + (&wide * 3.0 + node.t / 250.0).sin() * 0.1;
    let eps = eps.to_kind(Kind::Float);
    Prediction::new(x, &eps, None, &[node; 2], PredictionType::Epsilon, X0Clip::None, (-1.0, 1.0)).unwrap()
}

fn solver(spec: &str, diffusion: &Diffusion, steps: usize) -> Solver {
    spec.parse::<SolverSpec>().unwrap().build(diffusion, steps, StartAt::Noise).unwrap()
}

/// x at each evaluation and at the end, from a fixed x.
fn run(spec: &str, diffusion: &Diffusion, steps: usize) -> Vec<Tensor> {
    let values: Vec<f32> = (0..24).map(|i| (i as f32 * 1.7).sin() * 1.5).collect();
    run_from(Tensor::from_slice(&values).view(SHAPE), &solver(spec, diffusion, steps))
}

/// x at each evaluation and at the end.
fn run_from(mut x: Tensor, solver: &Solver) -> Vec<Tensor> {
    let mut path = vec![x.shallow_clone()];
    let (mut first, mut second) = (History::new(), History::new());
    let mut lockstep = match solver {
        Solver::Plan(_) => None,
        Solver::Lockstep(lockstep) => Some(lockstep.start().unwrap()),
    };
    for (e, evaluation) in solver.evaluations().iter().enumerate() {
        let said = predict(&x, evaluation.node);
        x = match (solver, &mut lockstep) {
            (_, Some(run)) => run.advance(e, &x, &said).unwrap(),
            (Solver::Plan(plan), _) => {
                let histories = &mut [&mut first, &mut second];
                advance(plan, &[e; 2], &x, &said, histories, |_| panic!("nothing is drawn")).unwrap().x
            }
            (Solver::Lockstep(_), None) => unreachable!("a lockstep solver was started"),
        };
        path.push(x.shallow_clone());
    }
    path
}

#[test]
fn two_implementations_agree() {
    let pairs = [
        ("ddim:offset=1,final=sigma_min", "diffusers:ddim"),
        ("dpm-solver-2m", "diffusers:dpm-solver-2m"),
        ("dpm-solver-3m", "diffusers:dpm-solver-3m"),
        ("dpm-solver++1:final=sigma_min", "diffusers:dpm-solver++1"),
        ("dpm-solver++2m:final=sigma_min", "diffusers:dpm-solver++2m"),
        ("dpm-solver++3m:final=sigma_min", "diffusers:dpm-solver++3m"),
        ("euler", "diffusers:euler"),
        ("heun", "diffusers:heun"),
    ];
    let mut worst = (0.0, String::new());
    for (schedule, start, end) in
        [(BetaSchedule::Linear, 1e-4, 0.02), (BetaSchedule::ScaledLinear, 0.00085, 0.012)]
    {
        let diffusion = Diffusion::new(schedule, 1000, start, end).unwrap();
        for (ours, theirs) in pairs {
            for steps in [5, 10, 20, 50] {
                let (a, b) = (run(ours, &diffusion, steps), run(theirs, &diffusion, steps));
                assert_eq!(a.len(), b.len(), "{ours}");
                for (e, (a, b)) in a.iter().zip(&b).enumerate() {
                    let gap = ((a - b).abs().max() / b.abs().max()).double_value(&[]);
                    assert!(gap <= 1e-5, "{ours}, {steps} steps, {schedule:?}, evaluation {e}: {gap:.1e}");
                    if gap > worst.0 {
                        worst = (gap, format!("{ours}, {steps} steps, {schedule:?}"));
                    }
                }
            }
        }
    }
    println!("the largest gap is {:.1e}, in {}", worst.0, worst.1);
}

/// LMS, PNDM and k-DPM-2 have no counterpart here: they are compared with Hugging Face's classes, with the
/// options that the crate has fixed.
#[test]
fn those_without_a_counterpart_agree_with_hugging_face() {
    let fixture = Fixture::open("trajectories_adapters");
    let tolerance = fixture.number("tolerance");
    assert_eq!(fixture.cases().len(), 24);
    let (mut worst, mut worst_t) = ((0.0, String::new()), 0.0f64);
    for case in fixture.cases() {
        let (name, steps) = (text(&case, "name"), count(&case, "steps"));
        let spec = format!("diffusers:{}", text(&case, "solver").replace('_', "-"));
        let solver = solver(&spec, &diffusion(&case), steps);
        let times = fixture.values(&format!("{name}/t"));
        assert_eq!(solver.evaluations().len(), times.len(), "{name}");
        // k-DPM-2's midpoints are found from differences of float32 logarithms there.
        for (evaluation, t) in solver.evaluations().iter().zip(&times) {
            let gap = (evaluation.node.t - t).abs();
            worst_t = worst_t.max(gap);
            assert!(
                gap <= if t.fract() == 0.0 { 0.0 } else { 2e-4 },
                "{name}: {} against {t}",
                evaluation.node.t
            );
        }
        let theirs = fixture.tensor(&format!("{name}/x"));
        let ours = run_from(theirs.get(0).view(SHAPE), &solver);
        assert_eq!(ours.len() as i64, theirs.size()[0], "{name}");
        for (e, x) in ours.iter().enumerate() {
            let theirs = theirs.get(e as i64).view(SHAPE);
            let gap = ((x - &theirs).abs().max() / theirs.abs().max()).double_value(&[]);
            assert!(gap <= tolerance, "{name} at evaluation {e}: {gap:.1e}");
            if gap > worst.0 {
                worst = (gap, name.to_string());
            }
        }
    }
    println!("the largest gap is {:.1e}, in {}; of times, {worst_t:.1e}", worst.0, worst.1);
}

/// All three must come near the limit that the other solvers have, too.
#[test]
fn the_others_converge_to_the_same_image() {
    let diffusion = Diffusion::new(BetaSchedule::Linear, 1000, 1e-4, 0.02).unwrap();
    let fine = run("heun", &diffusion, 500).pop().unwrap();
    for name in ["diffusers:lms", "diffusers:pndm", "diffusers:k-dpm-2"] {
        let x = run(name, &diffusion, 100).pop().unwrap();
        let gap = ((&x - &fine).abs().max() / fine.abs().max()).double_value(&[]);
        assert!(gap < 0.05, "{name}: {gap}");
    }
}
