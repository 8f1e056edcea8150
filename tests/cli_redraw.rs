//! The same settings give the same bytes, and an image says how to draw it again.

use std::fs;

use serde_json::Value;

use tiny_model::{Run, Workplace, pixels};

mod tiny_model;

/// Runs the command that `inspect` prints for an image, as printed, and compares the two images.
fn assert_redraws(place: &Workplace, image: &str, redrawn: &str) {
    let text = Run::ok(&mut place.command(&format!("inspect {image}"))).stdout;
    let command = text.lines().last().unwrap().trim();
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_offramp")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut sh = std::process::Command::new("sh");
    sh.current_dir(place.path("")).env("PATH", path).args(["-c", command]);
    Run::ok(&mut sh);
    let (a, b) = (pixels(&place.path(image)), pixels(&place.path(redrawn)));
    assert_eq!(a.0, b.0);
    let worst = a.1.iter().zip(&b.1).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(worst <= 1, "{command}: pixels differ by {worst}");
    let [ours, theirs] = [image, redrawn].map(|f| parameters(place, f));
    for field in ["depths", "seed", "class", "label", "bounds", "weights_sha256", "solver", "steps", "exit"] {
        assert_eq!(ours[field], theirs[field], "{command}: {field}");
    }
    fs::remove_dir_all(place.path("redrawn")).unwrap();
}

fn parameters(place: &Workplace, image: &str) -> Value {
    Run::ok(&mut place.command(&format!("inspect {image} --json"))).json_lines()[0]["parameters"].clone()
}

#[test]
fn an_image_carries_the_parameters_that_made_it() {
    let place = Workplace::new();
    let options = "--class 3,none --count 3 --seed 40 --solver ddim:eta=0.5 --schedule stairs --guidance 1.5 \
                   --guidance-interval 200,800 --batch 2 --dtype bf16";
    Run::ok(&mut place.generate(options));
    let found = parameters(&place, "out/000002.png");
    for (field, value) in [
        ("image", "2"),
        ("seed", "42"),
        ("class", "3"),
        ("label", r#""Ankle boot""#),
        ("weights", r#""tiny""#),
        ("solver", r#""ddim:eta=0.5""#),
        ("steps", "4"),
        ("exit", r#""schedule:stairs""#),
        ("bounds", "[[1,1],[2,2],[3,3],[3,3]]"),
        ("depths", "[1,2,3,3]"),
        ("guidance", "1.5"),
        ("guidance_interval", "[200.0,800.0]"),
        ("dtype", r#""bf16""#),
        ("device", r#""cpu""#),
        ("batch", "2"),
        ("first_seed", "40"),
        ("classes", r#""3,none""#),
        ("count", "3"),
    ] {
        assert_eq!(found[field].to_string(), value, "{field}");
    }
    let weights = fs::read(place.path("weights/tiny/model.safetensors")).unwrap();
    let hash: String =
        <sha2::Sha256 as sha2::Digest>::digest(weights).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(found["weights_sha256"], hash);
    assert_eq!(parameters(&place, "out/000001.png")["class"], Value::Null);
    let text = Run::ok(&mut place.command("inspect out/000002.png")).stdout;
    for part in ["seed 42", "Ankle boot", &hash, "ddim:eta=0.5, 4 steps", "schedule:stairs", "1 2 3 3"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn the_command_of_an_image_redraws_it() {
    let place = Workplace::new();
    Run::ok(&mut place.generate("--class all --seed 18446744073709551614 --schedule stairs --guidance 2.5"));
    assert_redraws(&place, "out/000000.png", "redrawn/000000.png");
    // Seeds wrap around.
    assert_redraws(&place, "out/000003.png", "redrawn/000000.png");

    let options =
        "--class none --count 2 --solver euler-ancestral --exit fixed:2 --guidance -1 --out ancestral";
    Run::ok(&mut place.generate(options));
    assert_redraws(&place, "ancestral/000001.png", "redrawn/000000.png");

    let mut spaced =
        place.generate("--init out/000000.png --strength 0.5 --guidance-channels 1 --guidance 2");
    Run::ok(spaced.args(["--class", "ankle boot", "--out", "it's spaced"]));
    fs::rename(place.path("it's spaced"), place.path("spaced")).unwrap();
    assert_redraws(&place, "spaced/000000.png", "redrawn/000000.png");
}

#[test]
fn the_command_of_an_image_from_a_noise_file_redraws_it() {
    let place = Workplace::new();
    let noise = ndarray::Array4::from_shape_fn((3, 1, 8, 8), |(n, _, y, x)| {
        ((7 * n + 5 * y + 3 * x) % 11) as f64 / 5.0 - 1.0
    });
    ndarray_npy::write_npy(place.path("f64.npy"), &noise).unwrap();
    ndarray_npy::write_npy(place.path("f32.npy"), &noise.mapv(|v| v as f32)).unwrap();
    for name in ["f64", "f32"] {
        Run::ok(&mut place.generate(&format!("--class 1,2 --count 3 --noise {name}.npy --out {name}")));
        assert_redraws(&place, &format!("{name}/000002.png"), "redrawn/000002.png");
    }
    assert_eq!(pixels(&place.path("f64/000001.png")), pixels(&place.path("f32/000001.png")));
}

#[test]
fn image_k_is_redrawn_alone_from_seed_plus_k() {
    let place = Workplace::new();
    Run::ok(&mut place.generate("--class Bag --count 4 --seed 7 --solver ddpm"));
    Run::ok(&mut place.generate("--class Bag --count 1 --seed 10 --solver ddpm --out alone"));
    let (a, b) = (pixels(&place.path("out/000003.png")).1, pixels(&place.path("alone/000000.png")).1);
    assert!(a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= 1));
    assert_ne!(pixels(&place.path("out/000000.png")).1, a, "every seed gives the same image");
}

#[test]
fn the_same_settings_give_the_same_bytes_of_every_file() {
    let place = Workplace::new();
    let options =
        "--count 7 --batch 2 --threads 2 --solver dpm-solver++2m-sde --schedule stairs --preview-every 2";
    for folder in ["a", "b"] {
        let files = format!("--out {folder} --grid {folder}.png --npz {folder}.npz --trace {folder}.json");
        Run::ok(&mut place.generate(&format!("{options} {files}")));
    }
    assert_eq!(place.names("a"), place.names("b"));
    assert_eq!(place.names("a/preview"), ["evaluation-0002.png", "evaluation-0004.png"]);
    let same = |a: &str, b: &str| {
        assert!(fs::read(place.path(a)).unwrap() == fs::read(place.path(b)).unwrap(), "{a}")
    };
    for name in place.names("a").iter().filter(|n| n.ends_with(".png")) {
        same(&format!("a/{name}"), &format!("b/{name}"));
    }
    for name in place.names("a/preview") {
        same(&format!("a/preview/{name}"), &format!("b/preview/{name}"));
    }
    for extension in ["png", "npz", "json"] {
        same(&format!("a.{extension}"), &format!("b.{extension}"));
    }
}

#[test]
fn a_resumed_run_ends_in_the_bytes_of_a_whole_one() {
    let place = Workplace::new();
    let options = "--class all --count 9 --batch 4 --solver euler-ancestral --schedule stairs --grid grid.png --npz images.npz";
    Run::ok(&mut place.generate(options));
    let whole = place.contents();
    for lost in ["000000.png", "000002.png", "000008.png"] {
        fs::remove_file(place.path("out").join(lost)).unwrap();
    }
    for lost in ["grid.png", "images.npz"] {
        fs::remove_file(place.path(lost)).unwrap();
    }
    let resumed = Run::ok(&mut place.generate(&format!("{options} --resume --json")));
    assert!(place.contents() == whole);
    let lines = resumed.json_lines();
    let drawn: Vec<_> = lines.iter().filter(|l| l["event"] == "image").map(|l| l["image"].clone()).collect();
    assert_eq!(drawn, [0, 2, 8]);
    assert_eq!((&lines[3]["images"], &lines[3]["kept"]), (&3.into(), &6.into()));

    let nothing_left = Run::ok(&mut place.generate(&format!("{options} --resume --json"))).json_lines();
    assert_eq!((&nothing_left[0]["images"], &nothing_left[0]["kept"]), (&0.into(), &9.into()));
    assert!(place.contents() == whole);
}

#[test]
fn overwrite_replaces_what_is_there() {
    let place = Workplace::new();
    Run::ok(&mut place.generate("--count 2"));
    let before = pixels(&place.path("out/000001.png"));
    Run::ok(&mut place.generate("--count 2 --seed 5 --overwrite"));
    assert_ne!(pixels(&place.path("out/000001.png")), before);
    assert_eq!(parameters(&place, "out/000001.png")["seed"], 6);
}

/// A folder must not end up with images of two runs, nor trust a file for its name.
#[test]
fn overwrite_clears_the_numbered_images_and_resume_checks_what_it_keeps() {
    let place = Workplace::new();
    Run::ok(&mut place.generate("--class all --count 4 --out out"));
    place.write("out/.000009.png.part-1", b"half");
    place.write("out/keep.txt", b"mine");
    Run::ok(&mut place.generate("--class all --count 2 --seed 5 --overwrite --out out"));
    assert_eq!(place.names("out"), ["000000.png", "000001.png", "keep.txt"]);

    fs::copy(place.path("out/000001.png"), place.path("out/000000.png")).unwrap();
    let renamed = Run::of(&mut place.generate("--class all --count 2 --seed 5 --resume --out out"));
    assert_eq!(renamed.code, Some(2), "{renamed:?}");
    assert!(renamed.stderr.contains("000000.png") && renamed.stderr.contains("image"), "{renamed:?}");

    let whole = fs::read(place.path("out/000001.png")).unwrap();
    place.write("out/000000.png", &whole[..whole.len() / 2]);
    let cut = Run::of(&mut place.generate("--class all --count 2 --seed 5 --resume --out out"));
    assert_eq!(cut.code, Some(2), "{cut:?}");
}

#[test]
fn an_image_that_is_not_finite_is_an_error_and_no_file() {
    let place = Workplace::new();
    let mut config = tiny_model::config();
    config["x0_clip"] = "none".into();
    place.set_model(&config, &tiny_model::tensors(&config));
    let run = Run::of(&mut place.generate("--class 1 --guidance 1e38 --out out"));
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("not finite"), "{run:?}");
    assert!(!place.path("out/000000.png").exists());
}

/// The default micro-batch depends on the number of images and of cores; a resumed run keeps its first one.
#[test]
fn a_run_is_resumed_with_more_images_and_on_another_machine() {
    let place = Workplace::new();
    Run::ok(&mut place.generate("--class all --count 4 --threads 2 --out out"));
    let first = fs::read(place.path("out/000003.png")).unwrap();
    let resumed = Run::ok(
        &mut place.generate("--class all --count 12 --threads 1 --resume --out out --trace trace.json"),
    );
    assert!(resumed.stdout.starts_with("8 images"), "{resumed:?}");
    assert_eq!(place.names("out").len(), 12);
    assert_eq!(fs::read(place.path("out/000003.png")).unwrap(), first);
    let trace: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("trace.json")).unwrap()).unwrap();
    let images: Vec<_> = trace["images"].as_array().unwrap().iter().map(|i| i["image"].clone()).collect();
    assert_eq!(images, (0..12).map(serde_json::Value::from).collect::<Vec<_>>());
    assert!(trace["images"][0]["depths"].as_array().is_some_and(|d| !d.is_empty()));

    let again = Run::ok(&mut place.generate("--class all --count 12 --resume --out out"));
    assert!(again.stdout.contains("all 12 images were in out already"), "{again:?}");
}

/// Overwriting clears the folder: what is read from it must have been read by then.
#[test]
fn an_image_of_the_folder_itself_can_be_the_start_of_an_overwriting_run() {
    let place = Workplace::new();
    Run::ok(&mut place.generate("--class all --count 4 --out out"));
    let options = "--class 1 --count 2 --init out/000003.png --strength 0.5 --overwrite --out out";
    Run::ok(&mut place.generate(options));
    assert_eq!(place.names("out"), ["000000.png", "000001.png"]);
}
