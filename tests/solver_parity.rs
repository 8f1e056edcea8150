//! Whole sampling runs against Hugging Face's schedulers, on a model that is a formula.
//!
//! `eps(x, t) = 0.8·x + 0.1·sin(3·x + t/250)`, x variance-preserving. The reference runs keep x in float64 and
//! coefficients in float32; ours keep x in float32 and coefficients in float64.

mod solver_fixture;

use offramp::solver::{
    BhType, FinalSigma, History, Method, Node, Prediction, SolverError, SolverSpec, Spacing, StartAt,
    Variance, X0Clip, advance,
};
use serde_json::{Value, from_value};
use solver_fixture::{Fixture, count, diffusion, text};
use tch::{Kind, Tensor};

const SHAPE: [i64; 4] = [2, 1, 3, 4];

fn spec(case: &Value) -> SolverSpec {
    let order = || count(case, "order");
    let method = match (text(case, "solver"), case["algorithm"].as_str()) {
        ("ddim", _) => Method::Ddim { eta: case["eta"].as_f64().unwrap() },
        ("ddpm", _) => Method::Ddpm { variance: from_value::<Variance>(case["variance"].clone()).unwrap() },
        ("dpm_solver_multistep", Some("dpmsolver++")) => Method::DpmSolverPp { order: order() },
        ("dpm_solver_multistep", Some("dpmsolver")) => Method::DpmSolverMultistep { order: order() },
        ("dpm_solver_multistep", Some("sde-dpmsolver++")) => Method::DpmSolverPpSde,
        ("dpm_solver_singlestep", Some("dpmsolver")) => Method::DpmSolver { order: order() },
        ("dpm_solver_singlestep", Some("dpmsolver++")) => Method::DpmSolverPpSingle { order: order() },
        ("euler", _) => Method::Euler,
        ("euler_ancestral", _) => Method::EulerAncestral,
        ("heun", _) => Method::Heun,
        ("unipc", _) => {
            Method::UniPc { order: order(), bh: from_value::<BhType>(case["solver_type"].clone()).unwrap() }
        }
        other => panic!("{other:?}"),
    };
    SolverSpec {
        method,
        spacing: from_value::<Spacing>(case["spacing"].clone()).unwrap(),
        offset: count(case, "offset"),
        final_sigma: from_value::<FinalSigma>(case["final"].clone()).unwrap(),
    }
}

fn clip(case: &Value) -> X0Clip {
    match text(case, "clip") {
        "none" => X0Clip::None,
        "range" => X0Clip::Range,
        "dynamic" => X0Clip::Dynamic {
            ratio: case["dynamic_ratio"].as_f64().unwrap(),
            max: case["dynamic_max"].as_f64().unwrap(),
        },
        other => panic!("{other}"),
    }
}

/// What a network of the case's kind returns: its output and, with a learned variance, that.
fn model(case: &Value, node: Node, x: &Tensor) -> (Tensor, Option<Tensor>) {
    let x = x.to_kind(Kind::Double);
    let eps: Tensor = &x * 0.8 + (&x * 3.0 + node.t / 250.0).sin() * 0.1;
    let x0 = (&x - &eps * node.sigma) / node.alpha;
    let output = match text(case, "prediction") {
        "epsilon" => eps,
        "sample" => x0,
        _ => eps * node.alpha - x0 * node.sigma,
    };
    let variance = (case["variance"] == "learned_range").then(|| (x.cos() * 0.5).to_kind(Kind::Float));
    (output.to_kind(Kind::Float), variance)
}

/// The x at each evaluation and at the end.
fn run(case: &Value, fixture: &Fixture) -> Vec<Vec<f64>> {
    let name = text(case, "name");
    let plan = spec(case).plan(&diffusion(case), count(case, "steps"), StartAt::Noise).unwrap();
    let times = fixture.values(&format!("{name}/t"));
    assert_eq!(plan.evaluations().len(), times.len(), "{name}");
    let prediction = from_value(case["prediction"].clone()).unwrap();

    let row = |values: &[f64], e: usize| {
        Tensor::from_slice(&values[24 * e..24 * (e + 1)]).view(SHAPE).to_kind(Kind::Float)
    };
    let flat = |x: &Tensor| Vec::<f64>::try_from(x.to_kind(Kind::Double).view(-1)).unwrap();
    let mut x = row(&fixture.values(&format!("{name}/x")), 0);
    let mut path = vec![flat(&x)];
    let (mut first, mut second) = (History::new(), History::new());
    for (e, (evaluation, t)) in plan.evaluations().iter().zip(times).enumerate() {
        let node = evaluation.node;
        assert!((node.t - t).abs() <= 1e-4, "{name}: {} against {t}", node.t);
        let (output, variance) = model(case, node, &x);
        let said =
            Prediction::new(&x, &output, variance, &[node; 2], prediction, clip(case), (-1.0, 1.0)).unwrap();
        let noise = |image: usize| -> Result<Tensor, SolverError> {
            Ok(row(&fixture.values(&format!("{name}/noise")), e).select(0, image as i64))
        };
        let histories = &mut [&mut first, &mut second];
        x = advance(&plan, &[e; 2], &x, &said, histories, noise).unwrap().x;
        path.push(flat(&x));
    }
    assert!(first.is_empty() && second.is_empty(), "{name}: history is left over");
    path
}

#[test]
fn every_run_agrees_with_hugging_face() {
    let fixture = Fixture::open("trajectories");
    let tolerance = fixture.number("tolerance");
    let (mut missed, mut worst) = (Vec::new(), (0.0, String::new()));
    for case in fixture.cases() {
        let name = text(&case, "name");
        let theirs = fixture.values(&format!("{name}/x"));
        for (e, ours) in run(&case, &fixture).iter().enumerate() {
            let theirs = &theirs[24 * e..24 * (e + 1)];
            let largest =
                |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |m: f64, v| m.max(v.abs()));
            let gap = largest(&mut ours.iter().zip(theirs).map(|(a, b)| a - b))
                / largest(&mut theirs.iter().copied());
            if gap.is_nan() || gap > tolerance {
                missed.push(format!("{name} at evaluation {e}: {gap:.1e}"));
            }
            if gap > worst.0 {
                worst = (gap, name.to_string());
            }
        }
    }
    println!("{} runs; the largest gap is {:.1e}, in {}", fixture.cases().len(), worst.0, worst.1);
    assert!(missed.is_empty(), "{} of tolerance {tolerance:e}:\n{}", missed.len(), missed.join("\n"));
}
