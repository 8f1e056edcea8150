//! Learned exits at the command line: opened beside the weights, drawn with, recorded, redrawn, refused.

mod learned_exits;
mod tiny_model;

use learned_exits::{config, constant, estimator, gate, random, sha};
use offramp::learned::{EstimatorKind, HeadKind, LearnedConfig, LearnedExits};
use serde_json::Value;
use tiny_model::{DEPTH, Run, Workplace, pixels};

const EXITS: &str = "weights/tiny/exits.safetensors";

/// A description for the workplace's own weights.
fn own(place: &Workplace) -> LearnedConfig {
    config(&offramp::digest::sha256_of(&place.path("weights/tiny/model.safetensors")).unwrap())
}

/// A workplace whose weights have exits.
fn with(exits: impl FnOnce(LearnedConfig) -> LearnedExits) -> Workplace {
    let place = Workplace::new();
    exits(own(&place)).write(&place.path(EXITS)).unwrap();
    place
}

fn all(base: LearnedConfig) -> LearnedConfig {
    LearnedConfig {
        heads: HeadKind::Local,
        estimator: estimator(EstimatorKind::Paper),
        gate: gate(4),
        ..base
    }
}

#[test]
fn draws_records_traces_and_draws_again() {
    let place = with(|base| constant(all(base), &[0.75, 0.25]));
    let options = "--exit uncertainty:0.5,min=1 --guidance 1.5 --json --trace trace.json --out out";
    let run = Run::ok(&mut place.generate(options));
    let lines = run.json_lines();
    for image in &lines[..lines.len() - 1] {
        assert_eq!(image["depths"], serde_json::json!([2, 2, 2, 2]));
    }
    let trace: Value = serde_json::from_slice(&std::fs::read(place.path("trace.json")).unwrap()).unwrap();
    assert_eq!((&trace["exit"], &trace["tail"]), (&"uncertainty:0.5".into(), &"heads".into()));
    let digest = offramp::digest::sha256_of(&place.path(EXITS)).unwrap();
    assert_eq!(trace["exits_sha256"], digest.as_str());
    for u in trace["images"][0]["uncertainties"].as_array().unwrap() {
        assert!((u.as_f64().unwrap() - 0.25).abs() < 1e-3, "{u}");
    }
    let text = Run::ok(&mut place.command("inspect out/000001.png")).stdout;
    assert!(text.contains("exit       uncertainty:0.5, tail heads"), "{text}");
    let command = text.lines().last().unwrap().trim().strip_prefix("offramp ").unwrap();
    Run::ok(&mut place.command(command));
    assert_eq!(pixels(&place.path("redrawn/000000.png")), pixels(&place.path("out/000001.png")));

    for (exit, depth) in [
        ("gate:0.5", 1),
        ("gate:0.8", DEPTH),
        ("gate:q=0.8", 2),
        ("uncertainty:0", DEPTH),
        ("uncertainty:1", 1),
    ] {
        let run = Run::ok(&mut place.generate(&format!("--exit {exit} --json --overwrite")));
        assert_eq!(run.json_lines()[0]["depths"], serde_json::json!(vec![depth; 4]), "{exit}");
    }
}

#[test]
fn the_shared_head_is_asked_for_by_name_where_there_are_trained_ones() {
    let place = with(|base| random(all(base), 0.2));
    Run::ok(&mut place.generate("--exit fixed:1 --out default"));
    Run::ok(&mut place.generate("--exit fixed:1 --tail heads --out heads"));
    Run::ok(&mut place.generate("--exit fixed:1 --tail head --out head"));
    let picture = |folder: &str| pixels(&place.path(&format!("{folder}/000000.png")));
    assert_eq!(picture("default"), picture("heads"));
    assert_ne!(picture("default"), picture("head"));
    // So it must be named again to draw that image again.
    let text = Run::ok(&mut place.command("inspect head/000000.png")).stdout;
    let command = text.lines().last().unwrap().trim().strip_prefix("offramp ").unwrap();
    assert!(command.contains("--tail head"), "{command}");
    Run::ok(&mut place.command(command));
    assert_eq!(picture("redrawn"), picture("head"));
}

#[test]
fn a_resumed_run_has_the_same_exits() {
    let place = with(|base| random(all(base), 0.2));
    Run::ok(&mut place.generate("--exit uncertainty:0.5 --count 2"));
    Run::ok(&mut place.generate("--exit uncertainty:0.5 --count 3 --resume"));
    random(all(own(&place)), 0.3).write(&place.path(EXITS)).unwrap();
    place.refuses(
        place.generate("--exit uncertainty:0.5 --count 4 --resume"),
        &["000000.png", "exits_sha256"],
    );
}

#[test]
fn inspect_says_what_was_trained() {
    let place = with(|base| random(all(base), 0.2));
    let text = Run::ok(&mut place.command("inspect tiny")).stdout;
    let expected = "exits       trained after blocks 1, 2: local heads; paper estimator (uncertainty of |g_i − ε|); \
                    gate 4 wide";
    assert!(text.contains(expected), "{text}");
    let json = &Run::ok(&mut place.command("inspect tiny --json")).json_lines()[0];
    assert_eq!(json["exits"]["config"]["heads"], "local");
    assert_eq!(json["exits"]["config"]["estimator"]["quantity"], "uncertainty");
    assert_eq!(json["exits"]["sha256"].as_str().unwrap().len(), 64);

    let plain = Workplace::new();
    let text = Run::ok(&mut plain.command("inspect tiny")).stdout;
    assert!(text.contains("exits       not trained"), "{text}");
    assert!(Run::ok(&mut plain.command("inspect tiny --json")).json_lines()[0]["exits"].is_null());
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let place = Workplace::new();
    for (words, mentions) in [
        ("--exit uncertainty:0.5", &["uncertainty:0.5", "no exits.safetensors"][..]),
        ("--exit gate:q=0.5", &["gate:q=0.5", "no exits.safetensors"]),
        ("--tail heads", &["tail heads", "no exits.safetensors"]),
        ("--exit uncertainty", &["\"uncertainty\"", "uncertainty:THRESHOLD"]),
        ("--exit uncertainty:", &["uncertainty:", "threshold \"\"", "from 0 to 1"]),
        ("--exit uncertainty:1.5", &["threshold \"1.5\"", "from 0 to 1"]),
        ("--exit uncertainty:-0.1", &["threshold \"-0.1\"", "from 0 to 1"]),
        ("--exit uncertainty:NaN", &["threshold \"NaN\"", "from 0 to 1"]),
        ("--exit uncertainty:0.5,min=0", &["min=\"0\"", "from 1"]),
        ("--exit uncertainty:0.5,max=2.5", &["max=\"2.5\"", "from 1"]),
        ("--exit uncertainty:0.5,min=3,max=2", &["min=3 lies behind max=2"]),
        ("--exit uncertainty:0.5,max=2,max=2", &["max is given twice"]),
        ("--exit uncertainty:0.5,after=2", &["\"after=2\"", "min=DEPTH"]),
        ("--exit gate:p=0.5", &["gate:p=0.5", "threshold \"p=0.5\""]),
        ("--exit gate:q=2", &["gate:q=2", "threshold \"2\""]),
    ] {
        place.refuses(place.generate(words), mentions);
    }
    let place = with(|base| random(LearnedConfig { gate: gate(2), ..base }, 0.2));
    for (words, mentions) in [
        ("--exit uncertainty:0.5", &["uncertainty:0.5", "estimator", "has none"][..]),
        ("--tail heads", &["tail heads", "has none"]),
        ("--exit gate:0.5,max=9", &["gate:0.5,max=9", "depth 9", "3 blocks"]),
    ] {
        place.refuses(place.generate(words), mentions);
    }
}

#[test]
fn exits_that_do_not_belong_are_refused_with_the_weights() {
    let place = Workplace::new();
    let write = |config: LearnedConfig| random(config, 0.2).write(&place.path(EXITS)).unwrap();
    let refused = |mentions: &[&str]| {
        place.refuses(place.generate("--exit full"), &[&["exits.safetensors"], mentions].concat());
        place.refuses(place.command("inspect tiny"), &[&["exits.safetensors"], mentions].concat());
    };
    write(all(config(&sha())));
    refused(&[&sha(), "trained on weights"]);
    write(LearnedConfig { points: vec![1, 3], ..all(own(&place)) });
    refused(&["points = [1, 3]", "3 blocks"]);
    write(LearnedConfig { width: 64, ..all(own(&place)) });
    refused(&["width = [64]", "[32]"]);
    write(LearnedConfig { grid: [4, 1], ..all(own(&place)) });
    refused(&["grid = [4, 1]", "[2, 2]"]);
    let released = LearnedConfig { estimator: estimator(EstimatorKind::Released), ..own(&place) };
    write(LearnedConfig { patch_outputs: 15, ..released });
    refused(&["patch_outputs = [15]", "[16]"]);
    place.write(EXITS, b"PK\x03\x04\x14\x00\x00\x00archive/data.pkl");
    refused(&["never unpickles"]);
    let weights = std::fs::read(place.path("weights/tiny/model.safetensors")).unwrap();
    place.write(EXITS, weights);
    refused(&["no learned exits"]);
    std::fs::remove_file(place.path(EXITS)).unwrap();
    Run::ok(&mut place.generate("--out fine"));
}

#[test]
fn a_bench_uses_a_models_own_heads_and_knows_its_exits() {
    let place = with(|base| constant(all(base), &[0.75, 0.25]));
    let plan = r#"
        name = "learned"
        weights = ["tiny"]
        steps = [3]
        exit = ["uncertainty:0.5", "gate:0.5"]
        batch = [2]
        threads = 1
        n = 8
        rounds = 2
        labels = "balanced"
        reference = "real"
        floor = "held-out"
        extractors = ["pixels"]
        error-images = 0
    "#;
    place.write("plan.toml", plan);
    for (set, seed) in [("real", 1000), ("held-out", 2000)] {
        Run::ok(&mut place.generate(&format!("--class all --count 8 --seed {seed} --out {set} --quiet")));
    }
    Run::ok(&mut place.command("bench plan.toml --out results --quiet"));
    let text = std::fs::read_to_string(place.path("results/rows.jsonl")).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let digest = offramp::digest::sha256_of(&place.path(EXITS)).unwrap();
    let mut learned = 0;
    for row in &rows {
        assert!(row["error"].is_null(), "{row}");
        let settings = &row["settings"];
        let (role, exit) = (row["role"]["kind"].as_str().unwrap(), settings["exit"].as_str().unwrap());
        let tail = settings["tail"].as_str().unwrap();
        match role {
            "full" | "fewer-steps" => assert_eq!(tail, "head"),
            "first-block-cache" => assert_eq!(tail, "residual"),
            _ => assert_eq!(tail, "heads", "{role}"),
        }
        // Rows that learned exits have no part in are those of the weights alone.
        match tail {
            "heads" => assert_eq!(settings["exits_sha256"], digest.as_str()),
            _ => assert!(settings["exits_sha256"].is_null()),
        }
        if let Some(depth) = [("uncertainty:0.5", 2.0), ("gate:0.5", 1.0)].iter().find(|(e, _)| *e == exit) {
            assert_eq!(row["depth"]["mean"], depth.1);
            learned += 1;
        }
    }
    assert_eq!(learned, 2);
}
