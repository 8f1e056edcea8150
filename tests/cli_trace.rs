//! What a run says of its depths: the heat map, whether a threshold did anything, and what `--measure` adds.

mod learned_exits;
mod tiny_model;

use learned_exits::{config, constant, estimator, gate, random};
use ndarray::Array4;
use offramp::learned::{EstimatorKind, HeadKind, LearnedConfig, LearnedExits};
use offramp::output::depth_color;
use serde_json::{Value, json};
use tiny_model::{DEPTH, LABELS, Run, SIZE, Workplace, pixels};

/// A workplace whose weights have estimators of a kind, and gates.
fn with(kind: EstimatorKind, exits: impl FnOnce(LearnedConfig) -> LearnedExits) -> Workplace {
    let place = Workplace::new();
    let sha = offramp::digest::sha256_of(&place.path("weights/tiny/model.safetensors")).unwrap();
    let learned =
        LearnedConfig { heads: HeadKind::Local, estimator: estimator(kind), gate: gate(4), ..config(&sha) };
    exits(learned).write(&place.path("weights/tiny/exits.safetensors")).unwrap();
    place
}

/// Cells of few images at few evaluations are so wide, and a pixel of paper follows.
const CELL: usize = 39;

/// The depths in a heat map of the tiny network, image by image.
fn depths_in(place: &Workplace, file: &str) -> Vec<Vec<usize>> {
    let ((width, _), data) = pixels(&place.path(file));
    let depth = |pixel: &[u8]| (1..=DEPTH).find(|&d| pixel == depth_color(d as f64, DEPTH));
    let mut rows: Vec<Vec<usize>> = vec![];
    let mut between = true;
    for row in data.chunks(3 * width) {
        let pixels: Vec<Option<usize>> = row.chunks(3).map(depth).collect();
        let runs = pixels.chunk_by(|a, b| a == b).filter(|run| run.len() == CELL);
        let found: Vec<usize> = runs.filter_map(|run| run[0]).collect();
        if !found.is_empty() && between {
            rows.push(found.clone());
        }
        between = found.is_empty();
        // An image's cells are of one colour from top to bottom.
        assert!(between || rows.last() == Some(&found));
    }
    rows
}

/// The depths in a trace.
fn depths_traced(place: &Workplace, file: &str) -> Vec<Vec<usize>> {
    let trace: Value = serde_json::from_slice(&std::fs::read(place.path(file)).unwrap()).unwrap();
    let images = trace["images"].as_array().unwrap().iter();
    images.map(|image| serde_json::from_value(image["depths"].clone()).unwrap()).collect()
}

/// What a run says at its end, for people and for machines.
fn ends(place: &Workplace, words: &str) -> (String, Value) {
    let text = Run::ok(&mut place.generate(&format!("{words} --overwrite"))).stdout;
    let lines = Run::ok(&mut place.generate(&format!("{words} --overwrite --json"))).json_lines();
    (text, lines.last().unwrap().clone())
}

#[test]
fn the_heat_map_of_a_schedule_is_its_stripes() {
    let place = Workplace::new();
    Run::ok(&mut place.generate("--steps 10 --solver ddim --schedule stairs --heat-map depths.png"));
    // DDIM visits 900, 800, …, 0, and the stairs are at 600.5 and 300.
    assert_eq!(depths_in(&place, "depths.png"), [[1, 1, 1, 2, 2, 2, 2, 3, 3, 3]; LABELS.len()]);
    Run::ok(&mut place.generate("--class 2 --steps 1 --exit fixed:2 --overwrite --heat-map depths.png"));
    assert_eq!(depths_in(&place, "depths.png"), [[2]]);
}

#[test]
fn the_heat_map_shows_each_image_s_own_depths_and_those_of_images_drawn_before() {
    let place = with(EstimatorKind::Paper, |base| random(base, 0.2));
    let options = "--class all,all,all --exit uncertainty:0.5 --batch 1";
    Run::ok(&mut place.generate(&format!("{options} --count 5")));
    Run::ok(
        &mut place
            .generate(&format!("{options} --count 12 --resume --heat-map depths.png --trace trace.json")),
    );
    let traced = depths_traced(&place, "trace.json");
    let different = |a: &[usize], b: &[usize]| a != b;
    assert!(traced.windows(2).any(|pair| different(&pair[0], &pair[1])), "{traced:?}");
    assert_eq!(traced.len(), 12);
    assert_eq!(depths_in(&place, "depths.png"), traced);
}

#[test]
fn a_threshold_that_does_nothing_is_said_to() {
    // After block 1 the estimators and gates say 0.75, after block 2 0.25, whatever the image.
    let paper = with(EstimatorKind::Paper, |base| constant(base, &[0.75, 0.25]));
    let released = with(EstimatorKind::Released, |base| constant(base, &[0.75, 0.25]));
    let always = "always left at the first exit that it may";
    // 4 images at 4 evaluations; behind a tail that remembers, each image's first is not the rule's.
    for (place, exit, inert, evaluations, compared, score, words) in [
        (&paper, "uncertainty:0.8", "always_left", 16, "uncertainty", 0.75, always),
        (&paper, "uncertainty:0.8 --tail residual", "always_left", 12, "uncertainty", 0.75, always),
        (&paper, "uncertainty:0.3,min=2", "always_left", 16, "uncertainty", 0.25, always),
        (&paper, "uncertainty:0.1", "never_left", 16, "uncertainty", 0.25, "never left early"),
        (
            &paper,
            "uncertainty:0.1,max=2",
            "never_left",
            16,
            "uncertainty",
            0.75,
            "never left before it had to",
        ),
        (&paper, "gate:0.6", "always_left", 16, "probability", 0.75, always),
        (&paper, "gate:0.9", "never_left", 16, "probability", 0.25, "never left early"),
        (&released, "uncertainty:0.6", "always_left", 16, "certainty", 0.75, always),
        (&released, "uncertainty:0.9", "never_left", 16, "certainty", 0.25, "never left early"),
    ] {
        let (text, json) = ends(place, &format!("--exit {exit}"));
        assert_eq!(json["inert"], inert, "{exit}: {json}");
        let scores = &json["scores"];
        assert_eq!((&scores["evaluations"], &scores["compared"]), (&json!(evaluations), &json!(compared)));
        for end in ["least", "most"] {
            assert!((scores[end].as_f64().unwrap() - score).abs() < 1e-3, "{exit}: {json}");
        }
        let spec = exit.split(' ').next().unwrap();
        let expected = format!("{spec} {words} ({evaluations} evaluations, {compared} {score:.2}");
        assert!(text.contains(&expected), "no {expected:?} in {text}");
        assert!(text.contains("the threshold is inert"), "{text}");
    }
    let quiet = Run::ok(&mut paper.generate("--exit uncertainty:0.8 --overwrite --quiet"));
    assert_eq!((quiet.stdout, quiet.stderr), (String::new(), String::new()));
}

#[test]
fn a_rule_that_tells_images_apart_is_not_called_inert() {
    let place = with(EstimatorKind::Paper, |base| random(base, 0.2));
    Run::ok(&mut place.generate("--exit uncertainty:0.5 --trace trace.json"));
    let depths = depths_traced(&place, "trace.json").concat();
    assert!(depths.contains(&1) && depths.contains(&DEPTH), "{depths:?}");
    let (text, json) = ends(&place, "--exit uncertainty:0.5");
    assert!(json["inert"].is_null(), "{json}");
    assert!(json["scores"]["least"].as_f64() < json["scores"]["most"].as_f64(), "{json}");
    assert!(!text.contains("threshold"), "{text}");

    // Nor is one that always leaves between its first exit and its last.
    let place = with(EstimatorKind::Paper, |base| constant(base, &[0.75, 0.25]));
    assert!(ends(&place, "--exit uncertainty:0.5").1["inert"].is_null());
    // In verify mode depths are not the rule's alone.
    let verified = ends(&place, "--exit uncertainty:0.8 --verify 2 --tolerance 0").1;
    assert!(verified["inert"].is_null() && verified["scores"].is_null(), "{verified}");
    // Of one evaluation there is neither always nor never.
    assert!(ends(&place, "--exit uncertainty:0.8 --count 1 --steps 1").1["inert"].is_null());
}

#[test]
fn exits_that_do_not_look_have_no_threshold() {
    let place = Workplace::new();
    for exit in ["full", "fixed:1", "schedule:stairs"] {
        let (text, json) = ends(&place, &format!("--exit {exit}"));
        assert!(
            json["inert"].is_null() && json["scores"].is_null() && json.get("measured").is_none(),
            "{json}"
        );
        assert!(!text.contains("threshold"), "{text}");
        // Without --measure there is nothing behind the prediction.
        assert!(text.lines().last().unwrap().ends_with('×') && !text.contains("measured"), "{text}");
    }
}

#[test]
fn evaluations_at_which_an_image_had_to_go_on_say_nothing_of_the_rule() {
    let place = with(EstimatorKind::Paper, |base| constant(base, &[0.75, 0.25]));
    // Before an image ran to the end there is no change to compare, and its tail knows nothing.
    for (words, inert, evaluations) in [
        ("change:inf --tail residual", "always_left", 12),
        ("change:inf,cap=1 --tail residual", "always_left", 8),
        ("change:inf,warmup=2 --tail residual", "always_left", 8),
        ("change:0 --tail residual", "never_left", 12),
        ("uncertainty:0.8,only=1-2", "always_left", 8),
        ("uncertainty:0.8,cap=2", "always_left", 12),
        ("uncertainty:0.8,pair=apart --guidance 2", "always_left", 16),
        ("uncertainty:0.1,pair=apart --guidance 2", "never_left", 16),
        // The unconditional halves come in only at the last two evaluations, at the first of which the tail does not
        // know them.
        ("uncertainty:0.8 --tail residual --guidance 2 --guidance-interval 0,500", "always_left", 8),
    ] {
        let (text, json) = ends(&place, &format!("--exit {words}"));
        assert_eq!(
            (&json["inert"], &json["scores"]["evaluations"]),
            (&json!(inert), &json!(evaluations)),
            "{words}"
        );
        assert!(json["scores"]["most"].is_number() && text.contains("inert"), "{json} {text}");
    }
}

#[test]
fn rules_without_training_are_watched_too() {
    let place = Workplace::new();
    for (exit, inert, compared) in [
        ("similarity:0", "always_left", "similarity"),
        ("similarity:1", "never_left", "similarity"),
        // The first exit has nothing to agree with.
        ("patience:1,change=1000", "always_left", "change"),
        ("patience:1,change=0.001", "never_left", "change"),
        ("patience:7", "never_left", "change"),
    ] {
        let (text, json) = ends(&place, &format!("--exit {exit}"));
        assert_eq!(
            (&json["inert"], &json["scores"]["compared"]),
            (&json!(inert), &json!(compared)),
            "{exit}"
        );
        let way = if inert == "always_left" { "always left" } else { "never left" };
        assert!(text.contains(&format!("{exit} {way}")), "{text}");
    }
}

/// Root mean square error of the first images of two folders, x in [−1, 1].
fn rmse(place: &Workplace, a: &str, b: &str, images: usize) -> f64 {
    let read = |folder: &str| -> Vec<f64> {
        let of = |k: usize| pixels(&place.path(&format!("{folder}/{k:06}.png"))).1;
        (0..images).flat_map(of).map(|v| f64::from(v) / 127.5).collect()
    };
    let (a, b) = (read(a), read(b));
    (a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}

#[test]
fn what_is_measured_is_of_the_run_s_first_images_as_they_were_drawn() {
    let place = Workplace::new();
    let noise = Array4::from_shape_fn((6, 1, SIZE, SIZE), |(k, _, y, x)| {
        ((k * 31 + y * 7 + x * 3) % 11) as f32 / 5.0 - 1.0
    });
    ndarray_npy::write_npy(place.path("noise.npy"), &noise).unwrap();
    let options =
        "--class all,all --count 6 --batch 2 --noise noise.npy --guidance 2 --guidance-interval 0,500";
    let run = Run::ok(&mut place.generate(&format!("{options} --schedule stairs --json --measure")));
    Run::ok(&mut place.generate(&format!("{options} --out full")));
    let lines = run.json_lines();
    assert_eq!(lines.len(), 7);
    let (done, measured) = (&lines[6], &lines[6]["measured"]);
    let number = |field: &str| measured[field].as_f64().unwrap();
    // One worker, one micro-batch.
    assert_eq!(measured["images"], 2);
    assert!(number("rounds") >= 3.0);
    assert!(
        0.0 < number("least") && number("least") <= number("speedup") && number("speedup") <= number("most")
    );
    let predicted = done["predicted_speedup"].as_f64().unwrap();
    assert!((number("predicted_speedup") - predicted).abs() < 1e-9 && predicted > 1.2, "{done}");
    assert!((number("r") * predicted - number("speedup")).abs() < 1e-9);
    let expected = rmse(&place, "out", "full", 2);
    assert!(expected > 0.01 && (number("rmse") - expected).abs() < 1e-9, "{expected} {measured}");
}

#[test]
fn what_is_measured_stands_behind_what_is_predicted() {
    let place = Workplace::new();
    let text = Run::ok(&mut place.generate("--schedule stairs --count 3 --batch 2 --measure")).stdout;
    let line = text.lines().last().unwrap();
    for part in [
        "predicted ",
        "×, measured ",
        " rounds, r ",
        "RMSE to full depth 0.",
        " on the first 2 images, of which ",
    ] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    // A run of one micro-batch is measured as a whole; full depth is its own peer.
    let text = Run::ok(&mut place.generate("--count 2 --overwrite --measure")).stdout;
    let line = text.lines().last().unwrap();
    assert!(
        line.contains("predicted 1.00×, measured ") && line.ends_with("RMSE to full depth 0.000"),
        "{line}"
    );
    // Where nothing was drawn, nothing is measured.
    let run = Run::ok(&mut place.generate("--count 2 --resume --measure --json"));
    assert!(run.json_lines()[0].get("measured").is_none());
}
