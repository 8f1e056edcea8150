//! Files and folders on the command line that cannot be read, or cannot be written: the latter is found out
//! before a single evaluation is run.

use ndarray::{Array4, ArrayD};
use ndarray_npy::WriteNpyExt;

use tiny_model::{Run, SIZE, Workplace};

mod tiny_model;

fn grey_png(place: &Workplace, name: &str, width: u32, height: u32) {
    image::GrayImage::from_pixel(width, height, image::Luma([99])).save(place.path(name)).unwrap();
}

fn npy<T: ndarray_npy::WritableElement>(place: &Workplace, name: &str, array: &ArrayD<T>) {
    let mut bytes = vec![];
    array.write_npy(&mut bytes).unwrap();
    place.write(name, bytes);
}

#[test]
fn an_init_image_that_does_not_fit_is_refused() {
    let place = Workplace::new();
    let n = SIZE as u32;
    grey_png(&place, "good.png", n, n);
    grey_png(&place, "large.png", n + 1, n);
    let good = std::fs::read(place.path("good.png")).unwrap();
    place.write("cut.png", &good[..good.len() / 2]);
    place.write("empty.png", b"");
    place.write("text.png", b"not an image at all");
    for (words, mentions) in [
        ("--init large.png", &["large.png", "9×8", "8×8"][..]),
        ("--init cut.png", &["cut.png", "not a readable image"]),
        ("--init empty.png", &["empty.png", "not a readable image"]),
        ("--init text.png", &["text.png", "not a readable image"]),
        ("--init nosuch.png", &["nosuch.png", "No such file"]),
        ("--init good.png --strength 0", &["strength 0 "]),
        ("--init good.png --strength 1.5", &["strength 1.5"]),
        ("--init good.png --strength -0.5", &["strength -0.5"]),
        ("--init good.png --strength NaN", &["strength NaN"]),
        ("--init good.png --strength lots", &["'lots'", "--strength"]),
        ("--init good.png --strength 0.1 --steps 4", &["strength 0.1 of 4 steps"]),
        ("--init good.png --solver diffusers:pndm", &["diffusers:pndm", "starts from noise"]),
    ] {
        place.refuses(place.generate(words), mentions);
    }
    Run::ok(&mut place.generate("--init good.png"));
}

#[test]
fn noise_that_does_not_fit_is_refused() {
    let place = Workplace::new();
    let shape = |n: usize| Array4::<f32>::zeros((n, 1, SIZE, SIZE)).into_dyn();
    npy(&place, "good.npy", &shape(2));
    npy(&place, "three.npy", &shape(3));
    npy(&place, "flat.npy", &ArrayD::<f32>::zeros(vec![2 * SIZE * SIZE]));
    npy(&place, "whole.npy", &shape(2).mapv(|v| v as i64));
    let mut nan = shape(2);
    nan[[1, 0, 3, 3]] = f32::NAN;
    npy(&place, "nan.npy", &nan);
    let good = std::fs::read(place.path("good.npy")).unwrap();
    place.write("cut.npy", &good[..good.len() - 1]);
    place.write("text.npy", b"not an array");
    // A header that promises four terabytes.
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 1, 8, 8), }";
    let huge = [b"\x93NUMPY\x01\x00\x76\x00".as_slice(), format!("{header:<117}\n").as_bytes()].concat();
    place.write("huge.npy", huge);
    for (file, mentions) in [
        ("three.npy", &["[3, 1, 8, 8]", "[2, 1, 8, 8]"][..]),
        ("flat.npy", &["[128]", "[2, 1, 8, 8]"]),
        ("whole.npy", &["whole.npy", "f32 or f64"]),
        ("nan.npy", &["nan.npy", "NaN"]),
        ("cut.npy", &["cut.npy"]),
        ("text.npy", &["text.npy"]),
        ("huge.npy", &["huge.npy"]),
        ("nosuch.npy", &["nosuch.npy", "No such file"]),
    ] {
        place.refuses(place.generate(&format!("--count 2 --noise {file}")), mentions);
    }
    Run::ok(&mut place.generate("--count 2 --noise good.npy"));
}

#[test]
fn an_output_folder_that_cannot_be_written_is_refused_before_sampling() {
    let place = Workplace::new();
    place.write("file", b"a file");
    // So many steps that sampling first would be noticed.
    for (words, mentions) in [
        ("--out file", &["file", "not writable"][..]),
        ("--out file/below", &["file/below", "not writable"]),
        ("--out /proc/offramp", &["/proc/offramp", "not writable"]),
        ("--grid nosuch/grid.png", &["nosuch", "not writable"]),
        ("--npz nosuch/images.npz", &["nosuch", "not writable"]),
        ("--trace nosuch/trace.json", &["nosuch", "not writable"]),
        ("--trace weights", &["weights", "not writable"]),
        ("--heat-map nosuch/depths.png", &["nosuch", "not writable"]),
        ("--heat-map out/000000.png", &["out/000000.png", "not writable"]),
        ("--grid /proc/grid.png", &["/proc", "not writable"]),
    ] {
        place.refuses(place.generate(&format!("--steps 400 --count 100000 {words}")), mentions);
    }
    let mut nameless = place.generate("");
    nameless.args(["--out", ""]);
    place.refuses(nameless, &["--out"]);
}

#[test]
fn a_folder_that_holds_images_is_refused_unless_told_what_to_do() {
    let place = Workplace::new();
    Run::ok(&mut place.generate("--count 2"));
    place.refuses(place.generate("--count 2"), &["out", "2 images", "--resume", "--overwrite"]);
    for (words, mentions) in [
        ("--steps 5", &["000000.png", "steps", "5", "4"][..]),
        ("--seed 1", &["000000.png", "first_seed"]),
        ("--class Bag", &["000000.png", "classes", "Bag"]),
        ("--exit fixed:2", &["000000.png", "fixed:2"]),
        ("--solver ddim", &["000000.png", "ddim"]),
        ("--guidance 2", &["000000.png", "guidance", "2"]),
        ("--dtype bf16", &["000000.png", "dtype", "bf16"]),
    ] {
        place.refuses(place.generate(&format!("--count 2 --resume {words}")), mentions);
    }
    // Other weights under the same name are other settings.
    let mut model = tiny_model::tensors(&tiny_model::config());
    model.insert("pos_embed".into(), tiny_model::random("other", vec![1, 4, 32]));
    place.set_model(&tiny_model::config(), &model);
    place.refuses(place.generate("--count 2 --resume"), &["000000.png", "weights_sha256"]);
    // So is an image that offramp did not make.
    grey_png(&place, "out/000000.png", 8, 8);
    place.refuses(place.generate("--count 2 --resume"), &["000000.png", "no offramp parameters"]);
}

#[test]
fn inspect_refuses_what_it_does_not_know() {
    let place = Workplace::new();
    grey_png(&place, "strange.png", 8, 8);
    place.write("text.png", b"text");
    place.write("text.txt", b"text");
    place.write("text.json", b"text");
    for (words, mentions) in [
        ("inspect strange.png", &["strange.png", "no offramp parameters"][..]),
        ("inspect text.png", &["text.png", "not a readable image"]),
        ("inspect text.txt", &["text.txt", "not a weights folder"]),
        ("inspect text.json", &["text.json", "line 1"]),
        ("inspect nosuch.png", &["nosuch.png", "No such file"]),
        ("inspect nosuch.json", &["nosuch.json", "No such file"]),
        ("inspect nosuch", &["nosuch"]),
        ("inspect schedules", &["config.json", "No such file"]),
        ("completions tcsh", &["tcsh"]),
        ("draw", &["draw"]),
    ] {
        place.refuses(place.command(words), mentions);
    }
}

/// A rename would put a plain file in the place of a pipe, a device or a link, or of an image.
#[test]
fn what_is_no_plain_file_or_an_images_place_is_not_written_over() {
    let place = Workplace::new();
    // The pipe lies outside, where nobody waits for it to be read.
    let outside = tempfile::tempdir().unwrap();
    let pipe = outside.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::fs::symlink("elsewhere", outside.path().join("link")).unwrap();
    let outside = outside.path().display();
    let targets = [
        format!("--trace {outside}/pipe"),
        format!("--grid {outside}/link"),
        format!("--npz {outside}/link"),
        "--trace /dev/stdout".to_owned(),
        "--grid out/000000.png".to_owned(),
    ];
    for options in &targets {
        let target = options.split(' ').nth(1).unwrap();
        place.refuses(place.generate(&format!("{options} --out out")), &[target]);
    }
    // Another spelling of a file in the folder is that file.
    Run::ok(&mut place.generate("--out new --grid ./new/sheet.png"));
    assert!(place.path("new/sheet.png").is_file());
    // A sheet is no image of a run: the next one is not refused for it.
    std::fs::create_dir(place.path("sheets")).unwrap();
    std::fs::copy(place.path("new/sheet.png"), place.path("sheets/sheet.png")).unwrap();
    Run::ok(&mut place.generate("--out sheets"));
}

/// `--overwrite` clears the folder, so everything must have been checked by then.
#[test]
fn a_refused_overwrite_leaves_the_images() {
    let place = Workplace::new();
    Run::ok(&mut place.generate("--out out"));
    for (field, value, mentions) in [
        ("x0_clip", serde_json::json!({ "dynamic": { "ratio": 1.5, "max": 1.0 } }), "x0_clip"),
        ("value_range", serde_json::json!([0, 1]), "x0_clip"),
        ("labels", serde_json::json!(["2", "b", "c", "d"]), "labels"),
    ] {
        let mut config = tiny_model::config();
        config["x0_clip"] = serde_json::json!({ "dynamic": { "ratio": 0.9, "max": 1.0 } });
        config[field] = value;
        place.set_model(&config, &tiny_model::tensors(&config));
        place.refuses(place.generate("--out out --overwrite"), &[mentions]);
    }
    let channels = "--guidance 2 --guidance-channels 18446744073709551615 --out out --overwrite";
    place.set_model(&tiny_model::config(), &tiny_model::tensors(&tiny_model::config()));
    place.refuses(place.generate(channels), &["18446744073709551615"]);
}
