//! What must hold for the plan of every solver, whatever its order and grid.

use offramp::solver::{BetaSchedule, Diffusion, Noise, SolverSpec, StartAt, Term, Value};

fn diffusion() -> Diffusion {
    Diffusion::new(BetaSchedule::ScaledLinear, 1000, 0.00085, 0.012).unwrap()
}

fn spec(text: &str) -> SolverSpec {
    text.parse().unwrap()
}

const PLANS: [&str; 20] = [
    "ddim",
    "ddim:eta=1",
    "ddpm",
    "ddpm:variance=fixed_large",
    "dpm-solver-2",
    "dpm-solver-3",
    "dpm-solver-2m",
    "dpm-solver-3m",
    "dpm-solver++1",
    "dpm-solver++2m",
    "dpm-solver++3m",
    "dpm-solver++2s",
    "dpm-solver++3s",
    "dpm-solver++2m-sde",
    "euler",
    "euler-ancestral",
    "heun",
    "unipc:order=1",
    "unipc",
    "unipc:order=3,type=bh1",
];

/// With x0 and ε held fixed every deterministic solver is exact, whatever its order and grid.
#[test]
fn constant_predictions_are_carried_exactly() {
    for name in PLANS {
        for spacing in ["leading", "trailing", "linspace"] {
            let joint = if name.contains(':') { ',' } else { ':' };
            let spec = spec(&format!("{name}{joint}spacing={spacing}"));
            for (steps, start) in
                [(1, StartAt::Noise), (2, StartAt::Noise), (20, StartAt::Noise), (9, StartAt::Strength(0.6))]
            {
                let plan = spec.plan(&diffusion(), steps, start).unwrap();
                if plan.is_stochastic() {
                    continue;
                }
                let (x0, eps) = (0.4, -1.3);
                let mut x: Vec<f64> = Vec::new();
                for (e, evaluation) in plan.evaluations().iter().enumerate() {
                    let node = evaluation.node;
                    let exact = node.alpha * x0 + node.sigma * eps;
                    if e == 0 {
                        x.push(exact);
                    }
                    assert!((x[e] - exact).abs() < 1e-9, "{spec}, {steps} steps, evaluation {e}");
                    let sum = |x: &[f64], terms: &[Term]| -> f64 {
                        let value = |v: Value, of: usize| match v {
                            Value::X => x[of],
                            Value::X0 => x0,
                            Value::Eps => eps,
                        };
                        terms.iter().map(|t| t.weight * value(t.value, t.evaluation)).sum()
                    };
                    if let Some(correct) = &plan.update(e).correct {
                        x[e] = sum(&x, correct.terms());
                        assert!((x[e] - exact).abs() < 1e-9, "{spec}: corrector {e}");
                    }
                    x.push(sum(&x, plan.update(e).next.terms()));
                }
                let end = spec.grid().path(&diffusion(), steps).unwrap()[steps];
                let exact = end.alpha * x0 + end.sigma * eps;
                assert!((x.last().unwrap() - exact).abs() < 1e-9, "{spec}: the end");
            }
        }
    }
}

/// Alone, a stochastic step must not change the variance of x when x0 = 0 and x is pure noise of σ.
#[test]
fn stochastic_steps_end_at_the_right_noise_level() {
    for name in ["ddim:eta=0.7", "ddim:eta=1", "ddpm", "dpm-solver++2m-sde", "euler-ancestral"] {
        let spec = spec(name);
        let plan = spec.plan(&diffusion(), 12, StartAt::Noise).unwrap();
        let path = spec.grid().path(&diffusion(), 12).unwrap();
        for (e, t) in path.iter().enumerate().skip(1) {
            let update = plan.update(e - 1);
            let s = path[e - 1];
            // x = σ_s·ε, ε standard normal, x0 = 0.
            let mean: f64 = update
                .next
                .terms()
                .iter()
                .map(|term| match term.value {
                    Value::X => term.weight * s.sigma,
                    Value::Eps => term.weight,
                    Value::X0 => 0.0,
                })
                .sum();
            let std = match update.noise {
                Noise::Fixed(std) => std,
                _ => 0.0,
            };
            assert!((mean.hypot(std) - t.sigma).abs() < 1e-9, "{name}, step {e}");
        }
        assert!(plan.is_stochastic() && plan.update(11).noise == Noise::None, "{name}");
    }
}

#[test]
fn evaluations_and_steps() {
    for name in PLANS {
        let plan = spec(name).plan(&diffusion(), 6, StartAt::Noise).unwrap();
        let expected = if name == "heun" { 11 } else { 6 };
        assert_eq!(plan.evaluations().len(), expected, "{name}");
        assert_eq!(plan.evaluations().last().unwrap().step, 5, "{name}");
    }
}
