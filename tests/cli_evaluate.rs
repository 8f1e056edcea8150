//! `offramp evaluate` and `offramp stats` as they are typed.

use offramp::output::{Pixels, write_png};
use serde_json::Value;
use tiny_model::{Run, Workplace};

mod tiny_model;

/// 90 grey images of 6×6 in folder `name`: waves of their own phase, all of them changed by `change`.
fn waves(place: &Workplace, name: &str, phase: usize, change: impl Fn(f64, usize) -> f64) {
    std::fs::create_dir_all(place.path(name)).unwrap();
    for k in 0..90 {
        let pixel = |i: usize| {
            let wave = (0.7 * ((k + phase) * (i % 6 + 1)) as f64 + 1.3 * (i / 6) as f64 * k as f64).sin();
            change(127.5 + 90.0 * wave, i + 36 * k).round().clamp(0.0, 255.0) as u8
        };
        let image = Pixels { shape: [6, 6, 1], data: (0..36).map(pixel).collect() };
        write_png(&place.path(name).join(format!("{k:06}.png")), &image, None).unwrap();
    }
}

fn place() -> Workplace {
    let place = Workplace::new();
    waves(&place, "real", 500, |v, _| v);
    waves(&place, "near", 0, |v, i| v + (i % 7) as f64);
    waves(&place, "far", 0, |v, i| 0.4 * v + (i % 31) as f64);
    place
}

fn evaluate(place: &Workplace, words: &str) -> Run {
    Run::ok(&mut place.command(&format!("evaluate {words} --threads 2")))
}

fn json(place: &Workplace, words: &str) -> Value {
    let lines = evaluate(place, &format!("{words} --json")).json_lines();
    assert_eq!(lines.len(), 1, "{words}");
    lines.into_iter().next().unwrap()
}

fn fd(place: &Workplace, words: &str) -> f64 {
    json(place, words)["extractors"][0]["a"]["fd"].as_f64().unwrap()
}

#[test]
fn a_set_is_at_no_distance_from_itself() {
    let place = place();
    let report = json(&place, "real real --extractor pixels");
    let found = &report["extractors"][0]["a"];
    assert!(found["fd"].as_f64().unwrap().abs() < 1e-9, "{found}");
    assert_eq!(found["manifold"]["precision"], 1.0, "{found}");
    assert_eq!(found["manifold"]["recall"], 1.0, "{found}");
    assert_eq!(report["paired"]["a"]["rmse"], 0.0, "{report}");
    assert_eq!(report["paired"]["a"]["psnr"], Value::Null, "{report}");
}

#[test]
fn shards_add_up_to_the_whole() {
    let place = place();
    let stats = |words: &str| Run::ok(&mut place.command(&format!("stats {words} --threads 1")));
    stats("near --extractor pixels --batch 8 --out whole.npz");
    for i in 1..=5 {
        stats(&format!("near --extractor pixels --batch 8 --shard {i}/5 --out part-{i}.npz"));
    }
    let run = Run::ok(&mut place.command(
        "stats --merge part-1.npz part-2.npz part-3.npz part-4.npz part-5.npz --out merged.npz --json",
    ));
    assert_eq!(run.json_lines()[0]["n"], 90);
    let [whole, merged, images] = ["whole.npz", "merged.npz", "near"]
        .map(|a| fd(&place, &format!("{a} real --extractor pixels --batch 8")));
    assert!(whole > 0.01, "{whole}");
    assert!((whole - merged).abs() <= 1e-9 * whole, "{whole} and {merged}");
    assert!((whole - images).abs() <= 1e-9 * whole, "{whole} and {images}");
}

#[test]
fn two_sets_are_told_apart_by_an_interval() {
    let place = place();
    let words = "near real --against far --extractor pixels --resamples 50";
    let report = json(&place, words);
    let by = &report["extractors"][0];
    let number = |v: &Value| v.as_f64().unwrap_or_else(|| panic!("{by}"));
    let (a, c, difference) = (number(&by["a"]["fd"]), number(&by["against"]["fd"]), &by["fd_difference"]);
    assert!((number(&difference["value"]) - (a - c)).abs() < 1e-6, "{by}");
    assert!(
        number(&difference["low"]) <= number(&difference["high"]) && number(&difference["high"]) < 0.0,
        "{by}"
    );
    let table = evaluate(&place, words).stdout;
    assert!(table.contains("excludes zero: A is nearer to B"), "{table}");
    let swapped = evaluate(&place, "far real --against near --extractor pixels --resamples 50").stdout;
    assert!(swapped.contains("excludes zero: C is nearer to B"), "{swapped}");
    let same = evaluate(&place, "near real --against near --extractor pixels --resamples 50").stdout;
    assert!(same.contains("contains zero: no difference is shown"), "{same}");
}

#[test]
fn sets_of_other_images_get_no_interval_and_say_why() {
    let place = place();
    let report = json(&place, "near real --against far#0..80 --extractor pixels");
    assert_eq!(report["extractors"][0]["fd_difference"], Value::Null);
    let notes = report["notes"].to_string();
    assert!(notes.contains("90 images") && notes.contains("80"), "{notes}");
    let report = json(&place, "near#0..80 real --against far#10.. --extractor pixels");
    assert!(report["notes"].to_string().contains("000000"), "{report}");
}

#[test]
fn images_of_one_name_are_compared_pixel_by_pixel() {
    let place = Workplace::new();
    for (name, value) in [("a", 60), ("b", 70), ("c", 90)] {
        std::fs::create_dir(place.path(name)).unwrap();
        for k in 0..4 {
            let image = Pixels { shape: [12, 12, 3], data: vec![value; 432] };
            write_png(&place.path(name).join(format!("{k}.png")), &image, None).unwrap();
        }
    }
    let report = json(&place, "a b --against c --metrics paired --extractor pixels");
    assert_eq!(report["extractors"], serde_json::json!([]));
    let paired = &report["paired"];
    let rmse = 10.0 * 2.0 / 255.0;
    let close = |v: &Value, expected: f64| (v.as_f64().unwrap() - expected).abs() < 1e-12;
    assert!(close(&paired["a"]["rmse"], rmse) && close(&paired["against"]["rmse"], 2.0 * rmse), "{paired}");
    assert!(close(&paired["a"]["psnr"], 20.0 * (2.0 / rmse).log10()), "{paired}");
    assert!(close(&paired["rmse_difference"]["high"], -rmse), "{paired}");
    let table = evaluate(&place, "a b --against c --metrics paired --extractor pixels").stdout;
    assert!(table.contains("4 pairs of images by name") && table.contains("RMSE, A − C"), "{table}");
}

#[test]
fn the_table_says_what_the_numbers_are_of() {
    let place = place();
    let run = evaluate(&place, "near real --extractor pixels");
    for words in [
        "A  near: N = 90, 6×6 grey",
        "B  real: N = 90",
        "pixels (images not resized), 36 features",
        "\nFD ",
        "KID × 1000",
        "precision, k = 3",
        "coverage, k = 5",
        "90 pairs of images by name",
        "few images against 36 features: near (90), real (90);",
    ] {
        assert!(run.stdout.contains(words), "no {words:?} in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("FID"), "{}", run.stdout);
    let quiet = evaluate(&place, "near real --extractor pixels --quiet");
    assert!(!quiet.stdout.contains("note:") && quiet.stderr.is_empty(), "{quiet:?}");

    let run = evaluate(&place, "near real --extractor pixels --json --out report.json");
    let file: Value = serde_json::from_slice(&std::fs::read(place.path("report.json")).unwrap()).unwrap();
    assert_eq!(run.json_lines(), [file]);
}

#[test]
fn too_few_images_for_a_metric_are_a_note_unless_it_was_asked_for() {
    let place = place();
    let report = json(&place, "near#0..4 real --extractor pixels");
    assert_eq!(report["extractors"][0]["a"]["manifold"], Value::Null);
    assert!(report["notes"].to_string().contains("left out"), "{report}");
    let words = "evaluate near#0..4 real --extractor pixels --metrics manifold";
    place.refuses(place.command(words), &["near#0..4", "4 images", "6"]);
}

#[test]
fn statistics_bring_their_extractor_with_them() {
    let place = place();
    Run::ok(&mut place.command("stats real --extractor pixels --out real.npz"));
    let report = json(&place, "near real.npz");
    assert_eq!(report["extractors"][0]["extractor"]["name"], "pixels");
    assert_eq!(report["b"]["n"], 90);
    assert!(report["notes"].to_string().contains("real.npz is statistics"), "{report}");
    let (ours, images) = (fd(&place, "near real.npz"), fd(&place, "near real --extractor pixels"));
    assert!((ours - images).abs() <= 1e-9 * images, "{ours} and {images}");
}
