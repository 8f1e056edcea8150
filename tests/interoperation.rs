//! What offramp writes is read by NumPy, Pillow and pytorch-fid, and what pytorch-fid writes is read here.
//!
//! `make test-heavy` provides the Python: `OFFRAMP_PYTHON` names an interpreter with the packages of
//! `scripts/peers/requirements.txt`.

use std::process::Command;

use serde_json::Value;
use tiny_model::{Run, SIZE, Workplace};

mod tiny_model;

const IMAGES: usize = 200;

#[test]
#[ignore = "needs the peers' Python"]
fn numpy_and_pytorch_fid_read_what_is_written() {
    let python = std::env::var_os("OFFRAMP_PYTHON").expect(
        "OFFRAMP_PYTHON must name a Python with scripts/peers/requirements.txt; `make test-heavy` provides it",
    );
    let place = Workplace::new();
    for (seed, out) in [(0, "a"), (1000, "b")] {
        let words = format!("--count {IMAGES} --seed {seed} --out {out} --npz {out}-images.npz");
        Run::ok(&mut place.generate(&words));
        Run::ok(&mut place.command(&format!("stats {out} --extractor pixels --out {out}.npz")));
    }
    let mut script = Command::new(python);
    script
        .current_dir(place.path(""))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/peers/pytorch_fid_reads.py"));
    let run = Run::ok(script.args(["a", "a-images.npz", "a.npz", "b.npz", "theirs.npz"]));
    let seen: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    let number = |key: &str| seen[key].as_f64().unwrap_or_else(|| panic!("no {key}: {seen}"));

    assert_eq!(seen["shape"], serde_json::json!([IMAGES, SIZE, SIZE, 1]));
    assert_eq!(
        (&seen["dtype"], &seen["npz_is_folder"]),
        (&Value::from("uint8"), &Value::from(true)),
        "{seen}"
    );
    assert_eq!(seen["labels"].as_array().unwrap().len(), IMAGES);
    // pytorch-fid loads the same folder; its features are f32 and its sums f64.
    assert!(number("mean_error") < 1e-7 && number("covariance_error") < 1e-7, "{seen}");

    let fd = |a: &str, b: &str| {
        let run = Run::ok(&mut place.command(&format!("evaluate {a} {b} --metrics fd --json")));
        run.json_lines()[0]["extractors"][0]["a"]["fd"].as_f64().unwrap()
    };
    let (ours, theirs) = (fd("a.npz", "b.npz"), number("frechet_distance"));
    assert!(theirs > 0.01 && (ours - theirs).abs() <= 1e-6 * theirs, "{ours} and {theirs}");
    // Their statistics of the same folder are ours.
    let (read, same) = (fd("theirs.npz", "b.npz"), fd("theirs.npz", "a.npz"));
    assert!((read - ours).abs() <= 1e-6 * ours && same < 1e-9, "{read} and {ours}; {same}");
}
