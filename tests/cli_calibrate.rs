//! `offramp calibrate`: from a network to a schedule, a front, a threshold, and to images drawn with them.

mod learned_exits;
mod tiny_model;

use learned_exits::{config, estimator, random};
use offramp::learned::{EstimatorKind, LearnedConfig};
use serde_json::Value;
use tiny_model::{DEPTH, Run, Workplace, pixels};

const FRONT: &str = "schedules/tiny/best.front.json";

fn calibrate(place: &Workplace, words: &str) -> std::process::Command {
    place.command(&format!("calibrate {words} --weights tiny --threads 1 --steps 4"))
}

fn json(place: &Workplace, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(place.path(file)).unwrap()).unwrap()
}

/// A workplace whose weights have estimators that differ from image to image.
fn with_estimators() -> Workplace {
    let place = Workplace::new();
    let sha = offramp::digest::sha256_of(&place.path("weights/tiny/model.safetensors")).unwrap();
    let learned = LearnedConfig { estimator: estimator(EstimatorKind::Paper), ..config(&sha) };
    random(learned, 0.5).write(&place.path("weights/tiny/exits.safetensors")).unwrap();
    place
}

#[test]
fn a_front_is_found_and_drawn_with() {
    let place = Workplace::new();
    let text = Run::ok(&mut calibrate(&place, "schedule --images 4")).stdout;
    assert!(text.contains("Spearman's correlation"), "{text}");
    // It is measured against what is there.
    assert!(["fixed:1", "fixed:2", "stairs"].iter().all(|other| text.contains(other)), "{text}");
    let front = json(&place, FRONT);
    let points = front["points"].as_array().unwrap();
    let (mut cost, mut predicted) = (0.0, f64::INFINITY);
    for point in points {
        assert!(
            point["cost"].as_f64().unwrap() > cost && point["predicted_rmse"].as_f64().unwrap() <= predicted
        );
        cost = point["cost"].as_f64().unwrap();
        predicted = point["predicted_rmse"].as_f64().unwrap();
    }
    assert_eq!((cost, predicted), (1.0, 0.0));

    for budget in [0.4, 0.6, 1.0] {
        let run = Run::ok(&mut place.generate(&format!("--exit best --budget {budget} --json --overwrite")));
        let done = run.json_lines().pop().unwrap();
        let dearest =
            points.iter().map(|p| p["cost"].as_f64().unwrap()).filter(|c| *c <= budget).fold(0.0, f64::max);
        assert!((done["cost_share"].as_f64().unwrap() - dearest).abs() < 1e-9, "{budget}: {done}");
    }
    // What an image says of itself draws it again.
    Run::ok(&mut place.generate("--exit best,warmup=1 --budget 0.6 --out warm"));
    let text = Run::ok(&mut place.command("inspect warm/000001.png")).stdout;
    assert!(text.contains("exit       best:0.6,warmup=1"), "{text}");
    let command = text.lines().last().unwrap().trim().strip_prefix("offramp ").unwrap();
    Run::ok(&mut place.command(command));
    assert_eq!(pixels(&place.path("redrawn/000000.png")), pixels(&place.path("warm/000001.png")));
}

#[test]
fn recorded_errors_are_used_again_only_where_they_fit() {
    let place = Workplace::new();
    let errors = "out/calibrate/tiny/errors.npz";
    Run::ok(&mut calibrate(&place, "schedule --images 4"));
    let first = std::fs::read(place.path(errors)).unwrap();
    let changed = || std::fs::metadata(place.path(errors)).unwrap().modified().unwrap();
    let before = changed();
    Run::ok(&mut calibrate(&place, "schedule --images 4 --budget 0.5 --name half"));
    assert_eq!(changed(), before, "they were measured again");
    Run::ok(&mut calibrate(&place, "schedule --images 4 --seed 5"));
    assert_ne!(std::fs::read(place.path(errors)).unwrap(), first);
    Run::ok(&mut calibrate(&place, "schedule --images 4"));
    assert_eq!(std::fs::read(place.path(errors)).unwrap(), first, "the same settings give the same bytes");
}

#[test]
fn a_budget_gives_a_schedule_with_provenance() {
    let place = Workplace::new();
    let line =
        Run::ok(&mut calibrate(&place, "schedule --images 4 --budget 0.5 --name half --json")).json_lines();
    assert!(line[0]["cost"].as_f64().unwrap() <= 0.5);
    let schedule = json(&place, "schedules/tiny/half.json");
    let measured = &schedule["provenance"]["measured"];
    assert_eq!((&measured["n"], &measured["seed"]), (&4.into(), &1_000_004.into()));
    assert_eq!(measured["rmse_to_full"], line[0]["measured_rmse"]);
    let run = Run::ok(&mut place.generate("--schedule half --json"));
    assert_eq!(run.json_lines()[0]["depths"], line[0]["depths"]);
    // Several numbers of steps: the discretisation counts too.
    let words = "schedule --images 2 --budget 0.8 --name joint --json";
    let command = format!("calibrate {words} --weights tiny --threads 1 --steps 2,3");
    let line = Run::ok(&mut place.command(&command)).json_lines();
    assert!([2, 3].contains(&line[0]["steps"].as_u64().unwrap()), "{}", line[0]);
    assert!(line[0]["discretisation_rmse"].as_f64().unwrap() > 0.0);
    // And milliseconds, of which there are always enough here.
    let line = Run::ok(&mut calibrate(&place, "schedule --images 2 --budget 100000ms --name slow --json"))
        .json_lines();
    assert_eq!((line[0]["cost"].as_f64(), line[0]["predicted_rmse"].as_f64()), (Some(1.0), Some(0.0)));
}

#[test]
fn a_threshold_meets_its_budget_and_is_refused_elsewhere() {
    let place = with_estimators();
    let words = "threshold --images 40 --budget 0.8 --name half --json";
    let line = &Run::ok(&mut calibrate(&place, words)).json_lines()[0];
    let threshold = &line["threshold"];
    let cost = threshold["settled"]["budget"]["cost"].as_f64().unwrap();
    assert!(cost <= 0.8 && cost > 0.75, "{threshold}");
    assert!(threshold["exit"].as_str().unwrap().starts_with("uncertainty:"));

    let draw = |words: &str| place.generate(&format!("--exit threshold:half {words} --overwrite"));
    let done = Run::ok(&mut draw("--count 40 --json")).json_lines().pop().unwrap();
    assert!((done["cost_share"].as_f64().unwrap() - 0.8).abs() < 0.1, "{done}");
    for (words, mentions) in [
        ("--steps 5", &["threshold:half", "steps 4", "5"][..]),
        ("--solver ddim", &["the solver dpm-solver++2m", "ddim"]),
        ("--guidance 1.5", &["the guidance scale 1", "1.5"]),
        ("--dtype bf16", &["the dtype f32", "bf16"]),
        ("--class Bag --count 9", &["the labels", "25 % of class"]),
        ("--class none", &["the labels", "100 % of class none"]),
        ("--verify 2 --tolerance 0.1", &["verify mode off", "2 steps at a time, tolerance 0.1"]),
    ] {
        place.refuses(place.generate(&format!("--exit threshold:half {words}")), mentions);
    }
    place.refuses(
        place.generate("--exit threshold:half,max=2"),
        &["threshold:half,max=2", "without these limits"],
    );
    Run::ok(&mut place.generate("--exit threshold:half,force,max=2 --overwrite"));
    Run::ok(&mut place.generate("--exit threshold:half,force --steps 5 --overwrite"));
    // Other learned exits are other numbers.
    let sha = offramp::digest::sha256_of(&place.path("weights/tiny/model.safetensors")).unwrap();
    let learned = LearnedConfig { estimator: estimator(EstimatorKind::Paper), ..config(&sha) };
    random(learned, 0.4).write(&place.path("weights/tiny/exits.safetensors")).unwrap();
    place.refuses(place.generate("--exit threshold:half"), &["learned exits"]);
}

#[test]
fn a_promise_is_tested_from_safe_to_fast() {
    let place = with_estimators();
    let promise = |error: &str| {
        let words = format!(
            "threshold --images 30 --max-error {error} --risk 0.1 --confidence 0.9 --name safe --json"
        );
        Run::ok(&mut calibrate(&place, &words)).json_lines().remove(0)["threshold"].take()
    };
    // Everything may go wrong: the fastest passes.
    let all = promise("1000");
    let tests = all["settled"]["promise"]["tests"].as_array().unwrap();
    assert!(tests.iter().all(|t| t["accepted"] == true && t["failures"] == 0), "{all}");
    assert_eq!(all["exit"], tests.last().unwrap()["exit"]);
    let costs: Vec<f64> = tests.iter().map(|t| t["cost"].as_f64().unwrap()).collect();
    assert!(costs.first() > costs.last(), "{costs:?}");
    // Nothing may: full depth, and the file says so.
    let none = promise("1e-12");
    let tests = none["settled"]["promise"]["tests"].as_array().unwrap();
    let accepted = tests.iter().filter(|t| t["accepted"] == true).count();
    assert!(accepted < tests.len(), "{none}");
    if accepted == 0 {
        assert_eq!((&none["exit"], &none["held_out"]["failed"]), (&"full".into(), &0.0.into()));
    }
    Run::ok(&mut place.generate("--exit threshold:safe"));
}

#[test]
fn scores_alone_give_a_threshold_too() {
    let place = with_estimators();
    let words =
        "threshold --images 4 --exit similarity,min=2 --method beta-mixture --zeta 0.5 --name mixed --json";
    let line = &Run::ok(&mut calibrate(&place, words)).json_lines()[0];
    let exit = line["threshold"]["exit"].as_str().unwrap();
    assert!(exit == "full" || exit.starts_with("similarity:") && exit.ends_with(",min=2"), "{exit}");
    let run = Run::ok(&mut place.generate("--exit threshold:mixed --json"));
    for depth in run.json_lines()[0]["depths"].as_array().unwrap() {
        assert!((2..=DEPTH as u64).contains(&depth.as_u64().unwrap()));
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let place = Workplace::new();
    for (words, mentions) in [
        ("schedule --images 1", &["--images 1"][..]),
        ("schedule --budget 0", &["--budget"]),
        ("schedule --budget 2", &["--budget"]),
        ("schedule --budget=-3ms", &["--budget"]),
        ("schedule --solver heun", &["t = ", "times that fall"]),
        ("schedule --tail heads", &["tail heads"]),
        ("schedule --class cat", &["cat"]),
        ("threshold --budget 0.5", &["uncertainty", "no exits.safetensors"]),
        ("threshold --exit similarity --budget 0.5 --images 1", &["--images 1"]),
        ("threshold --exit similarity:0.5 --budget 0.5", &["without a threshold"]),
        ("threshold --exit fixed --budget 0.5", &["uncertainty, gate, similarity and change"]),
        ("threshold --exit similarity,min=0 --budget 0.5", &["min=\"0\""]),
        (
            "threshold --exit similarity --max-error 0.1 --risk 0.05 --images 58",
            &["--images 58", "at least 59"],
        ),
        ("threshold --exit similarity --max-error -1 --risk 0.05 --images 60", &["--max-error"]),
        ("threshold --exit similarity --max-error 0.1 --risk 0", &["risk"]),
        ("threshold --exit similarity --images 4", &["--budget"]),
    ] {
        place.refuses(calibrate(&place, words), mentions);
    }
    for (words, mentions) in [
        ("--exit best", &["best", "a budget is needed"][..]),
        ("--exit best:2", &["best:2", "a budget is needed"]),
        ("--exit best --budget 0", &["--budget 0"]),
        ("--exit full --budget 0.5", &["--budget 0.5", "--exit best"]),
        ("--exit best --budget 0.5", &["best.front.json", "offramp calibrate schedule"]),
        ("--exit threshold:none", &["none.threshold.json"]),
    ] {
        place.refuses(place.generate(words), mentions);
    }
    Run::ok(&mut calibrate(&place, "schedule --images 4"));
    place.refuses(place.generate("--exit best --budget 0.1"), &["a budget of 0.1", "cheapest"]);
    let mut front = json(&place, FRONT);
    front["weights_sha256"] = "0".repeat(64).into();
    place.write(FRONT, front.to_string());
    place.refuses(place.generate("--exit best --budget 0.5"), &["best:0.5", "made for weights"]);
    for (field, value, mention) in
        [("version", Value::from(9), "version 9"), ("points", serde_json::json!([]), "there must be one")]
    {
        let mut broken = front.clone();
        broken[field] = value;
        place.write(FRONT, broken.to_string());
        place.refuses(place.generate("--exit best --budget 0.5"), &[mention]);
    }
    place.write(FRONT, "{");
    place.refuses(place.generate("--exit best --budget 0.5"), &["best.front.json", "line 1"]);
}
