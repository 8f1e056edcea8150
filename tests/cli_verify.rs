//! `--verify K --tolerance τ` at the command line: drawn, counted, recorded, redrawn, resumed, refused.

mod tiny_model;

use serde_json::Value;
use tiny_model::{DEPTH, Run, Workplace, pixels};

fn parameters(place: &Workplace, image: &str) -> Value {
    Run::ok(&mut place.command(&format!("inspect {image} --json"))).json_lines()[0]["parameters"].clone()
}

#[test]
fn drafts_are_checked_counted_and_recorded() {
    let place = Workplace::new();
    let draw = |options: &str| {
        let lines = Run::ok(&mut place.generate(&format!("{options} --json --overwrite"))).json_lines();
        let picture = pixels(&place.path("out/000002.png"));
        (lines[2]["depths"].clone(), lines.last().unwrap().clone(), picture)
    };
    let (_, full_done, full) = draw("--exit full");
    let (_, draft_done, draft) = draw("--exit fixed:1");
    for done in [&full_done, &draft_done] {
        assert!(done["drafted"].is_null() && done["acceptance"].is_null(), "{done}");
    }

    let (depths, done, exact) = draw("--exit fixed:1 --verify 2 --tolerance 0");
    assert_eq!(depths, serde_json::json!(vec![DEPTH; 4]));
    // Four images; of each two drafts three times, then one.
    assert_eq!((&done["drafted"], &done["accepted"]), (&28.into(), &0.into()));
    assert_eq!(done["acceptance"], 0.0);
    // 28 drafts of a third and as many checks, where full depth is 16 evaluations.
    let share = 28.0 * (1.0 + 1.0 / 3.0) / 16.0;
    assert!((done["cost_share"].as_f64().unwrap() - share).abs() < 1e-9, "{done}");
    assert!((done["predicted_speedup"].as_f64().unwrap() - 1.0 / share).abs() < 1e-9, "{done}");
    let worst = exact.1.iter().zip(&full.1).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(worst <= 1, "pixels differ by {worst}");
    assert_ne!(exact, draft);

    let (depths, done, loose) = draw("--exit fixed:1 --verify 2 --tolerance inf");
    assert_eq!(depths, serde_json::json!(vec![1; 4]));
    assert_eq!((&done["drafted"], &done["accepted"]), (&16.into(), &16.into()));
    assert_eq!(loose, draft);
    let found = parameters(&place, "out/000001.png");
    assert_eq!((&found["verify"], &found["tolerance"]), (&2.into(), &"inf".into()));

    let text = Run::ok(&mut place.generate("--exit fixed:1 --verify 3 --tolerance inf --overwrite")).stdout;
    assert!(text.contains("accepted 16 of 16 drafted evaluations (100 %)"), "{text}");
    let text = Run::ok(&mut place.generate("--exit fixed:1 --overwrite")).stdout;
    assert!(!text.contains("drafted"), "{text}");
}

#[test]
fn an_image_says_how_it_was_verified_and_is_drawn_again() {
    let place = Workplace::new();
    for (tolerance, said) in [("0.05", "0.05"), ("inf", "inf"), ("0.0", "0"), ("-0", "0")] {
        let options = format!("--exit fixed:1 --guidance 1.5 --verify 3 --tolerance {tolerance} --batch 1");
        Run::ok(&mut place.generate(&format!("{options} --overwrite")));
        let text = Run::ok(&mut place.command("inspect out/000001.png")).stdout;
        assert!(text.contains(&format!("verify     3 steps at a time, tolerance {said}\n")), "{text}");
        let command = text.lines().last().unwrap().trim().strip_prefix("offramp ").unwrap();
        assert!(command.contains(&format!("--verify 3 --tolerance {said}")), "{command}");
        Run::ok(&mut place.command(&format!("{command} --overwrite")));
        assert_eq!(pixels(&place.path("redrawn/000000.png")), pixels(&place.path("out/000001.png")));
        assert_eq!(
            parameters(&place, "redrawn/000000.png")["depths"],
            parameters(&place, "out/000001.png")["depths"]
        );
    }
    Run::ok(&mut place.generate("--exit fixed:1 --overwrite"));
    let text = Run::ok(&mut place.command("inspect out/000001.png")).stdout;
    assert!(!text.contains("verify") && !text.contains("tolerance"), "{text}");
    // So images from before there was such a mode are read.
    let plain = parameters(&place, "out/000001.png");
    assert!(plain.get("verify").is_none() && plain.get("tolerance").is_none());
    let read: offramp::output::RunParameters = serde_json::from_value(plain).unwrap();
    assert_eq!((read.verify, read.tolerance), (None, None));
}

#[test]
fn a_resumed_run_verifies_alike() {
    let place = Workplace::new();
    let options = "--exit fixed:1 --count 3";
    Run::ok(&mut place.generate(&format!("{options} --verify 2 --tolerance 0.1")));
    let whole = std::fs::read(place.path("out/000001.png")).unwrap();
    std::fs::remove_file(place.path("out/000001.png")).unwrap();
    for (other, mentions) in [
        ("", &["000000.png", "tolerance", "0.1", "none"][..]),
        ("--verify 2 --tolerance 0.2", &["000000.png", "tolerance", "0.1", "0.2"]),
        ("--verify 3 --tolerance 0.1", &["000000.png", "verify", "2", "3"]),
    ] {
        place.refuses(place.generate(&format!("{options} {other} --resume")), mentions);
    }
    Run::ok(&mut place.generate(&format!("{options} --verify 2 --tolerance 0.10 --resume")));
    assert_eq!(std::fs::read(place.path("out/000001.png")).unwrap(), whole);
}

#[test]
fn a_trace_has_the_depths_that_counted() {
    let place = Workplace::new();
    Run::ok(&mut place.generate("--exit fixed:1 --verify 4 --tolerance 0.05 --trace trace.json"));
    let trace: Value = serde_json::from_slice(&std::fs::read(place.path("trace.json")).unwrap()).unwrap();
    assert_eq!((&trace["verify"], &trace["tolerance"]), (&4.into(), &"0.05".into()));
    for (k, image) in trace["images"].as_array().unwrap().iter().enumerate() {
        let depths = image["depths"].as_array().unwrap();
        assert!(depths.len() == 4 && depths.iter().all(|d| d == 1 || *d == DEPTH), "{depths:?}");
        assert_eq!(image["depths"], parameters(&place, &format!("out/00000{k}.png"))["depths"]);
        assert!(image["cost"].as_f64().unwrap() >= image["full_cost"].as_f64().unwrap());
    }
}

#[test]
fn what_cannot_be_verified_is_refused_by_name() {
    let place = Workplace::new();
    for (words, mentions) in [
        ("--verify 0 --tolerance 0.1", &["verify 0", "at least one step"][..]),
        ("--verify 2 --tolerance -0.1", &["tolerance -0.1", "from 0"]),
        ("--verify 2 --tolerance NaN", &["tolerance NaN", "from 0"]),
        ("--verify 2 --tolerance much", &["--tolerance", "much"]),
        ("--verify 2.5 --tolerance 0.1", &["--verify", "2.5"]),
        ("--verify 2", &["--tolerance"]),
        ("--tolerance 0.1", &["--verify"]),
        ("--verify 2 --tolerance 0.1 --solver ddpm", &["solver ddpm", "draws noise"]),
        ("--verify 2 --tolerance 0.1 --solver ddim:eta=0.5", &["solver ddim:eta=0.5", "draws noise"]),
        ("--verify 2 --tolerance 0.1 --solver euler-ancestral", &["solver euler-ancestral", "draws noise"]),
        (
            "--verify 2 --tolerance 0.1 --solver dpm-solver++2m-sde",
            &["solver dpm-solver++2m-sde", "draws noise"],
        ),
        ("--verify 2 --tolerance 0.1 --solver diffusers:ddim", &["solver diffusers:ddim", "whole batch"]),
    ] {
        place.refuses(place.generate(words), mentions);
    }
}
