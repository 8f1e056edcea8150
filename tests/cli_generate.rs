//! What `generate` writes and says.

use std::fs::{self, File};

use ndarray::{Array1, Array4};
use serde_json::{Value, json};

use tiny_model::{DEPTH, LABELS, Run, SIZE, Workplace, config, pixels, tensors};

mod tiny_model;

/// A run's `--json` lines: its images by index, and its end.
fn images(run: &Run) -> (Vec<Value>, Value) {
    let mut lines = run.json_lines();
    let done = lines.pop().unwrap();
    assert_eq!(done["event"], "done");
    assert!(lines.iter().all(|l| l["event"] == "image"));
    lines.sort_by_key(|l| l["image"].as_u64());
    (lines, done)
}

fn draw(place: &Workplace, words: &str) -> (Vec<Value>, Value) {
    images(&Run::ok(&mut place.generate(&format!("--json --overwrite {words}"))))
}

fn trace(place: &Workplace, words: &str) -> Value {
    draw(place, &format!("--trace trace.json {words}"));
    serde_json::from_slice(&fs::read(place.path("trace.json")).unwrap()).unwrap()
}

#[test]
fn json_is_one_line_per_image_and_one_at_the_end_and_nothing_else() {
    let place = Workplace::new();
    let run = Run::ok(&mut place.generate("--class Bag,none --count 3 --seed 5 --schedule stairs --json"));
    assert_eq!(run.stderr, "");
    let (lines, done) = images(&run);
    assert_eq!(lines.len(), 3);
    for (k, line) in lines.iter().enumerate() {
        assert_eq!(line["image"], k);
        assert_eq!(line["seed"], 5 + k);
        assert_eq!(line["class"], if k == 1 { Value::Null } else { json!(2) });
        assert_eq!(line["file"], format!("out/{k:06}.png"));
        assert_eq!(line["depths"], json!([1, 1, 2, 3]));
        assert!((line["cost_share"].as_f64().unwrap() - 7.0 / 12.0).abs() < 1e-12);
    }
    assert_eq!((&done["images"], &done["kept"], &done["depth"]), (&json!(3), &json!(0), &json!(DEPTH)));
    assert_eq!(done["out"], "out");
    assert!((done["mean_depth"].as_f64().unwrap() - 7.0 / 4.0).abs() < 1e-12);
    assert!((done["predicted_speedup"].as_f64().unwrap() - 12.0 / 7.0).abs() < 1e-12);
}

#[test]
fn quiet_says_nothing_and_a_pipe_gets_neither_bar_nor_colour() {
    let place = Workplace::new();
    let quiet = Run::ok(&mut place.generate("--quiet"));
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let plain = Run::ok(&mut place.generate("--overwrite"));
    let lines: Vec<&str> = plain.stdout.lines().collect();
    assert!(lines[0].starts_with("4 images in ") && lines[0].ends_with(" in out"), "{lines:?}");
    assert!(lines[1].contains("100 % of block cost (mean depth 3.0 of 3): predicted 1.00×"), "{lines:?}");
    for text in [&plain.stdout, &plain.stderr] {
        assert!(!text.contains(['\x1b', '\r']), "{text:?}");
    }
    let refused = Run::of(&mut place.generate("--steps x --overwrite"));
    assert!(!refused.stderr.contains('\x1b'), "{refused:?}");
}

#[test]
fn a_closed_or_full_standard_output_is_an_error_and_no_panic() {
    let place = Workplace::new();
    for words in ["doctor", "inspect tiny", "completions bash", "inspect schedules/tiny/full.json"] {
        let mut command = place.command(words);
        let output = command.stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
        let run = Run::from(output);
        assert_eq!(run.code, Some(1), "{words}: {run:?}");
        assert!(run.stderr.contains("standard output: No space left"), "{words}: {run:?}");
    }
    let mut command = place.generate("--json");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let run = Run::from(command.stdout(writer).output().unwrap());
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("standard output: Broken pipe"), "{run:?}");
}

#[test]
fn classes_are_labels_indices_all_none_and_lists() {
    let place = Workplace::new();
    for (class, expected) in [
        ("all", json!([0, 1, 2, 3])),
        ("none", json!([null])),
        ("T-shirt/top", json!([0])),
        ("t-SHIRT/Top", json!([0])),
        ("sneaker,BAG,2,none", json!([1, 2, 2, null])),
        ("3,all", json!([3, 0, 1, 2, 3])),
        ("ALL", json!([0, 1, 2, 3])),
    ] {
        let mut command = place.generate("--json --overwrite --steps 1 --class");
        let found = images(&Run::ok(command.arg(class))).0;
        assert_eq!(json!(found.iter().map(|l| &l["class"]).collect::<Vec<_>>()), expected, "{class}");
    }
    let found = draw(&place, "--steps 1 --class 3,1 --count 5").0;
    assert_eq!(found.iter().map(|l| l["class"].as_i64().unwrap()).collect::<Vec<_>>(), [3, 1, 3, 1, 3]);
}

#[test]
fn labels_may_hold_commas_and_quotes() {
    let place = Workplace::new();
    let mut config = config();
    config["labels"] = json!(["hat, cap", "it's", "-1", "$(x) \"y\""]);
    place.set_model(&config, &tensors(&config));
    for (index, label) in ["hat, cap", "it's", "-1", "$(x) \"y\""].iter().enumerate() {
        let mut command = place.generate("--json --overwrite --steps 1 --class");
        assert_eq!(images(&Run::ok(command.arg(label))).0[0]["class"], index, "{label}");
        let command =
            Run::ok(&mut place.command("inspect out/000000.png --json")).json_lines()[0]["command"].clone();
        let echo = format!("set -- {}; printf %s \"$5\"", command.as_str().unwrap());
        let mut sh = std::process::Command::new("sh");
        let words = Run::ok(sh.args(["-c", &echo.replace("$5", "$6")]));
        // By index: two classes may carry one label.
        assert_eq!(words.stdout, index.to_string(), "{label}");
    }
}

#[test]
fn a_trace_says_what_every_image_did_at_every_time() {
    let place = Workplace::new();
    let trace = trace(
        &place,
        "--class all --steps 10 --solver heun --schedule stairs --guidance 3 --guidance-interval 250,750",
    );
    let evaluations = trace["evaluations"].as_array().unwrap();
    assert_eq!(evaluations.len(), 19);
    let t: Vec<f64> = evaluations.iter().map(|e| e["t"].as_f64().unwrap()).collect();
    let depth = |t: &f64| {
        if *t < 300.0 {
            3
        } else if *t < 600.5 {
            2
        } else {
            1
        }
    };
    let expected: Vec<usize> = t.iter().map(depth).collect();
    assert!(expected.contains(&1) && expected.contains(&2) && expected.contains(&3));
    let rows = |t: &f64| if (250.0..=750.0).contains(t) { 2.0 } else { 1.0 };
    let cost: f64 = t.iter().map(|t| rows(t) * depth(t) as f64 / DEPTH as f64).sum();
    let full: f64 = t.iter().map(rows).sum();
    for e in evaluations {
        let (alpha, sigma) = (e["alpha"].as_f64().unwrap(), e["sigma"].as_f64().unwrap());
        assert!((alpha * alpha + sigma * sigma - 1.0).abs() < 1e-12, "{e}");
    }
    let images = trace["images"].as_array().unwrap();
    assert_eq!(images.len(), LABELS.len());
    for (k, image) in images.iter().enumerate() {
        assert_eq!((&image["image"], &image["class"], &image["seed"]), (&json!(k), &json!(k), &json!(k)));
        assert_eq!(image["depths"], json!(expected));
        assert!((image["cost"].as_f64().unwrap() - cost).abs() < 1e-9);
        assert!((image["full_cost"].as_f64().unwrap() - full).abs() < 1e-9);
    }
}

#[test]
fn guidance_costs_a_second_row_inside_its_interval_only() {
    let place = Workplace::new();
    let cost = |words: &str| {
        trace(&place, &format!("--class 1 --steps 10 --solver ddim {words}"))["images"][0]["full_cost"]
            .clone()
    };
    assert_eq!(cost(""), 10.0);
    assert_eq!(cost("--guidance 1"), 10.0);
    assert_eq!(cost("--guidance 2"), 20.0);
    assert_eq!(cost("--guidance 0"), 20.0);
    // DDIM visits 0, 100, …, 900; both ends of the interval count.
    assert_eq!(cost("--guidance 2 --guidance-interval 200,500"), 14.0);
    assert_eq!(cost("--guidance 2 --guidance-interval 201,299"), 10.0);
}

#[test]
fn strength_runs_a_share_of_the_steps() {
    let place = Workplace::new();
    draw(&place, "--class 1 --out start");
    let depths = |strength: &str| {
        let words = format!("--class 2 --steps 10 --init start/000000.png --strength {strength}");
        draw(&place, &words).0[0]["depths"].as_array().unwrap().len()
    };
    assert_eq!([depths("0.1"), depths("0.55"), depths("1")], [1, 5, 10]);
    let default = draw(&place, "--class 2 --steps 10 --init start/000000.png").0;
    assert_eq!(default[0]["depths"].as_array().unwrap().len(), 6);
    // A little noise leaves much of the image: less strength, less distance.
    let start = pixels(&place.path("start/000000.png")).1;
    let distance = |strength: &str| {
        depths(strength);
        let drawn = pixels(&place.path("out/000000.png")).1;
        start.iter().zip(&drawn).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum::<u32>()
    };
    assert!(distance("0.1") < distance("0.9"));
}

#[test]
fn schedule_is_short_for_exit_schedule() {
    let place = Workplace::new();
    let options = "--class all --steps 5 --batch 2";
    Run::ok(&mut place.generate(&format!("{options} --schedule stairs --out a")));
    Run::ok(&mut place.generate(&format!("{options} --exit schedule:stairs --out b")));
    Run::ok(&mut place.generate(&format!("{options} --out full")));
    let file = "--schedule schedules/tiny/stairs.json --out c";
    Run::ok(&mut place.generate(&format!("{options} {file}")));
    for name in place.names("a") {
        let read = |folder: &str| fs::read(place.path(folder).join(&name)).unwrap();
        assert!(read("a") == read("b"), "{name}");
        let look = |folder: &str| pixels(&place.path(folder).join(&name));
        assert_eq!(look("a"), look("c"), "{name}");
        assert_ne!(look("a"), look("full"), "{name}: an early exit changed nothing");
    }
    let full = |exit: &str| {
        draw(&place, &format!("--steps 5 --class 1 --exit {exit}"));
        pixels(&place.path("out/000000.png"))
    };
    assert_eq!(full("full"), full("fixed:3"));
    assert_eq!(full("full"), full("schedule:full"));
    assert_ne!(full("full"), full("fixed:1"));
}

#[test]
fn npz_holds_the_images_and_their_labels() {
    let place = Workplace::new();
    draw(&place, "--class 3,none,1 --count 5 --npz images.npz");
    let mut npz = ndarray_npy::NpzReader::new(File::open(place.path("images.npz")).unwrap()).unwrap();
    let images: Array4<u8> = npz.by_name("arr_0").unwrap();
    let labels: Array1<i64> = npz.by_name("arr_1").unwrap();
    assert_eq!(images.shape(), [5, SIZE, SIZE, 1]);
    assert_eq!(labels.to_vec(), [3, -1, 1, 3, -1]);
    for (k, image) in images.outer_iter().enumerate() {
        assert_eq!(
            image.iter().copied().collect::<Vec<_>>(),
            pixels(&place.path(&format!("out/{k:06}.png"))).1
        );
    }
}

#[test]
fn rgb_images_keep_their_channels() {
    let place = Workplace::new();
    let mut config = config();
    config["in_channels"] = 3.into();
    config["learn_sigma"] = true.into();
    place.set_model(&config, &tensors(&config));
    let options = "--class 1,2 --solver ddpm:variance=learned_range --guidance 2 --guidance-channels 2";
    draw(&place, &format!("{options} --npz images.npz --grid grid.png"));
    let image = image::open(place.path("out/000001.png")).unwrap();
    assert_eq!(image.color(), image::ColorType::Rgb8);
    let mut npz = ndarray_npy::NpzReader::new(File::open(place.path("images.npz")).unwrap()).unwrap();
    let images: Array4<u8> = npz.by_name("arr_0").unwrap();
    assert_eq!(images.shape(), [2, SIZE, SIZE, 3]);
    assert_eq!(images.outer_iter().nth(1).unwrap().iter().copied().collect::<Vec<_>>(), image.into_bytes());
}

#[test]
fn a_grid_has_a_column_per_class() {
    let place = Workplace::new();
    // Images of 8 are enlarged 12 times, with 4 pixels between and around them.
    let size = |columns: usize, rows: usize| (columns * 100 + 4, rows * 100 + 4);
    let grid = |words: &str| {
        draw(&place, &format!("--steps 1 --grid grid.png {words}"));
        let image = image::open(place.path("grid.png")).unwrap();
        (image.width() as usize, image.height() as usize)
    };
    assert_eq!(grid("--class all"), size(4, 1));
    assert_eq!(grid("--class all --count 9"), size(4, 3));
    assert_eq!(grid("--class 1 --count 5"), size(3, 2));
    assert_eq!(grid("--class 1"), size(1, 1));
    // A file in the folder of images, which is not there yet.
    Run::ok(&mut place.generate("--steps 1 --out new --grid new/grid.png"));
    assert!(place.names("new").contains(&"grid.png".into()));
}

#[test]
fn a_preview_is_written_every_k_evaluations() {
    let place = Workplace::new();
    draw(&place, "--class all --steps 7 --preview-every 3");
    assert_eq!(place.names("out/preview"), ["evaluation-0003.png", "evaluation-0006.png"]);
    let image = image::open(place.path("out/preview/evaluation-0003.png")).unwrap();
    assert_eq!((image.width(), image.height()), (204, 204));
    draw(&place, "--steps 2 --preview-every 3 --out few");
    assert_eq!(place.names("few/preview"), [""; 0]);
}

#[test]
fn bf16_differs_from_f32_by_little() {
    let place = Workplace::new();
    draw(&place, "--class all --steps 10 --npz f32.npz");
    draw(&place, "--class all --steps 10 --npz bf16.npz --dtype bf16");
    let read = |name: &str| -> Array4<u8> {
        ndarray_npy::NpzReader::new(File::open(place.path(name)).unwrap()).unwrap().by_name("arr_0").unwrap()
    };
    let (a, b) = (read("f32.npz"), read("bf16.npz"));
    let squares: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    let rmse = (squares / a.len() as f64).sqrt();
    assert!(rmse > 0.0 && rmse < 8.0, "RMSE {rmse} of 255");
}
