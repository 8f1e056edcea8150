//! A workplace for training: the tiny network, and images for it of which class k is a bright bar at a place of its
//! own, in noise.

#![allow(dead_code, reason = "each test crate uses its own part")]

#[path = "../tiny_model/mod.rs"]
pub mod tiny_model;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use tiny_model::{LABELS, Run, SIZE, Workplace};

/// Images in `data/`.
pub const IMAGES: usize = 96;

/// A workplace with `data/`, an IDX pair.
pub fn workplace() -> Workplace {
    let place = Workplace::new();
    let mut noise = 1u32;
    let mut pixels = vec![0, 0, 8, 3];
    pixels.extend([IMAGES as u32, SIZE as u32, SIZE as u32].iter().flat_map(|d| d.to_be_bytes()));
    for i in 0..IMAGES {
        for p in 0..SIZE * SIZE {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let inside = p / SIZE / 2 == i % LABELS.len();
            pixels.push((noise >> 26) as u8 + if inside { 180 } else { 0 });
        }
    }
    let mut labels = vec![0, 0, 8, 1];
    labels.extend((IMAGES as u32).to_be_bytes());
    labels.extend((0..IMAGES).map(|i| (i % LABELS.len()) as u8));
    place.write("data/train-images-idx3-ubyte", pixels);
    place.write("data/train-labels-idx1-ubyte", labels);
    place
}

/// `offramp train WHAT` of the tiny weights on those images: 24 steps of 8, without sample sheets, unless said
/// otherwise.
pub fn train(place: &Workplace, words: &str) -> Command {
    let mut command = place.command(&format!("train {words}"));
    for (option, value) in [
        ("--from", "tiny"),
        ("--data", "data"),
        ("--steps", "24"),
        ("--batch", "8"),
        ("--checkpoint-every", "3"),
        ("--samples-every", "0"),
        ("--out", "run"),
    ] {
        let instead = option == "--from" && words.contains("--config");
        if !words.contains(option) && !instead {
            command.args([option, value]);
        }
    }
    command
}

/// The losses of a run's steps, as told on stdout.
pub fn losses(run: &Run) -> Vec<f64> {
    run.json_lines().iter().filter_map(|line| line["loss"].as_f64()).collect()
}

/// The metrics, but for the time they took.
pub fn metrics(place: &Workplace, out: &str) -> Vec<BTreeMap<String, Value>> {
    let text = fs::read_to_string(place.path(out).join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut value: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
        assert!(value.remove("seconds").is_some() && value.remove("images_per_second").is_some());
        value
    };
    text.lines().map(line).collect()
}

/// Starts a run, kills it with SIGKILL once it has told of `step`, and resumes it; gives what the second sitting
/// said.
pub fn killed_and_resumed(place: &Workplace, words: &str, step: usize) -> Run {
    let words = format!("{words} --json");
    let mut child = train(place, &words).stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = BufReader::new(child.stdout.take().unwrap()).lines();
    let at = format!("\"step\":{step},");
    assert!(seen.any(|line| line.unwrap().contains(&at)), "it ended before step {step}");
    child.kill().unwrap();
    child.wait().unwrap();
    Run::ok(&mut train(place, &format!("{words} --resume")))
}

/// A file below the workplace.
pub fn bytes(place: &Workplace, name: &str) -> Vec<u8> {
    fs::read(place.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}
