//! The times that solvers visit, and their noise levels, against Hugging Face's schedulers.

mod solver_fixture;

use offramp::solver::{SolverSpec, StartAt};
use solver_fixture::{Fixture, count, diffusion, text};

/// The solver that stands for a Hugging Face class.
fn solver(class: &str) -> &'static str {
    match class {
        "DDIM" => "ddim",
        "DDPM" => "ddpm",
        "DPMSolverMultistep" => "dpm-solver++2m",
        "DPMSolverSinglestep" => "dpm-solver++2s",
        "EulerDiscrete" => "euler",
        "EulerAncestralDiscrete" => "euler-ancestral",
        "HeunDiscrete" => "heun",
        "UniPCMultistep" => "unipc",
        other => panic!("{other}"),
    }
}

#[test]
fn every_grid_agrees() {
    let fixture = Fixture::open("time_grids");
    let tolerance = fixture.number("tolerance");
    assert!(fixture.cases().len() >= 100);
    for case in fixture.cases() {
        let (name, steps, offset) = (text(&case, "name"), count(&case, "steps"), count(&case, "offset"));
        let mut options = format!("spacing={},final={}", text(&case, "spacing"), text(&case, "final"));
        if offset > 0 {
            options += &format!(",offset={offset}");
        }
        let spec: SolverSpec = format!("{}:{options}", solver(text(&case, "class"))).parse().unwrap();
        let diffusion = diffusion(&case);
        let plan = spec.plan(&diffusion, steps, StartAt::Noise).unwrap();
        let nodes: Vec<_> = plan.evaluations().iter().map(|e| e.node).collect();

        let times = fixture.values(&format!("{name}/timesteps"));
        assert_eq!(nodes.len(), times.len(), "{name}");
        for (node, t) in nodes.iter().zip(&times) {
            // Whole timesteps are equal; a fractional one of a real linspace is float32 there.
            let allowed = if t.fract() == 0.0 { 0.0 } else { tolerance };
            assert!((node.t - t).abs() <= allowed, "{name}: {} against {t}", node.t);
        }
        if !fixture.has(&format!("{name}/sigmas")) {
            continue;
        }
        let end = spec.grid().path(&diffusion, steps).unwrap()[steps];
        let sigmas = fixture.values(&format!("{name}/sigmas"));
        assert_eq!(sigmas.len(), nodes.len() + 1, "{name}");
        for (node, sigma) in nodes.iter().chain([&end]).zip(&sigmas) {
            let relative = (node.sigma_ve() - sigma).abs() / sigma.max(1.0);
            assert!(relative <= tolerance, "{name} at {}: {} against {sigma}", node.t, node.sigma_ve());
        }
    }
}

#[test]
fn the_default_grid_is_that_of_the_class() {
    let fixture = Fixture::open("time_grids");
    let defaults = [
        ("DDIM", "leading"),
        ("DDPM", "leading"),
        ("EulerDiscrete", "linspace"),
        ("UniPCMultistep", "linspace"),
    ];
    for (class, spacing) in defaults {
        let case =
            fixture.cases().into_iter().find(|c| c["class"] == class && c["spacing"] == spacing).unwrap();
        let plan = solver(class).parse::<SolverSpec>().unwrap();
        let plan = plan.plan(&diffusion(&case), count(&case, "steps"), StartAt::Noise).unwrap();
        let times = fixture.values(&format!("{}/timesteps", text(&case, "name")));
        assert_eq!(plan.evaluations().iter().map(|e| e.node.t).collect::<Vec<_>>(), times, "{class}");
    }
}
