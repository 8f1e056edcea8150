//! Every solver that is offered runs, from one step to many.

use tiny_model::{Run, Workplace};

mod tiny_model;

/// The solvers of `generate --help`, and those that it stands for with `diffusers:NAME`.
fn offered(place: &Workplace) -> Vec<String> {
    let help = Run::ok(place.command("generate --help").env("COLUMNS", "100000")).stdout;
    let (_, list) = help.split_once("NAME[:KEY=VALUE,…]: ").unwrap();
    let (list, _) = list.split_once("diffusers:NAME").unwrap();
    list.split(',').map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).collect()
}

#[test]
fn every_solver_in_the_help_runs() {
    let place = Workplace::new();
    let names = offered(&place);
    assert!(names.len() >= 12, "{names:?}");
    for (k, name) in names.iter().enumerate() {
        Run::ok(
            &mut place
                .generate(&format!("--class 1 --steps 5 --solver {name} --schedule stairs --out out-{k}")),
        );
    }
}

#[test]
fn every_solver_of_the_diffusers_crate_runs() {
    let place = Workplace::new();
    let doctor = Run::ok(&mut place.command("doctor --json"));
    let built_in = doctor.json_lines()[0]["diffusers_solvers"] == true;
    let known = Run::of(&mut place.generate("--solver diffusers:")).stderr;
    let (_, known) = known.split_once("known are ").unwrap();
    let names: Vec<&str> = known.trim().split(", ").filter(|n| n.starts_with("diffusers:")).collect();
    assert!(names.len() >= 8, "{names:?}");
    for (k, name) in names.iter().enumerate() {
        let mut command =
            place.generate(&format!("--class 1 --steps 5 --solver {name} --schedule stairs --out out-{k}"));
        if built_in {
            Run::ok(&mut command);
        } else {
            place.refuses(command, &[name, "feature"]);
        }
    }
}

#[test]
fn few_steps_and_odd_numbers_of_them_run_or_are_refused() {
    let place = Workplace::new();
    let ours = ["unipc:order=3", "dpm-solver-3", "dpm-solver++3s", "heun", "dpm-solver++2m-sde"];
    for solver in ours.iter().chain(&["diffusers:pndm", "diffusers:lms", "diffusers:k-dpm-2"]) {
        for steps in [1, 2, 3] {
            let words = format!("--class 1 --steps {steps} --solver {solver} --overwrite --exit fixed:1");
            let run = Run::of(&mut place.generate(&words));
            assert!(matches!(run.code, Some(0 | 2)), "{words}: {run:?}");
            assert!(!run.stderr.contains("panicked"), "{words}: {run:?}");
            assert!(run.code == Some(0) || !run.stderr.is_empty(), "{words}: {run:?}");
        }
    }
}
