//! Options whose value cannot be: refused by value, with what would be right, before anything is written.

use tiny_model::{Run, Workplace, config, tensors};

mod tiny_model;

fn refuse_all(cases: &[(&str, &[&str])]) {
    let place = Workplace::new();
    for (words, mentions) in cases {
        place.refuses(place.generate(words), mentions);
    }
}

#[test]
fn steps_that_are_none_or_too_many_or_no_whole_number_are_refused() {
    refuse_all(&[
        ("--steps 0", &["0 steps", "between 1 and the 1000"]),
        ("--steps 1001", &["1001 steps", "between 1 and the 1000"]),
        ("--steps 18446744073709551615", &["18446744073709551615 steps"]),
        ("--steps 18446744073709551616", &["'18446744073709551616'", "--steps"]),
        ("--steps -3", &["invalid value '-3'", "--steps"]),
        ("--steps 2.5", &["invalid value '2.5'", "--steps"]),
        ("--steps NaN", &["invalid value 'NaN'", "--steps"]),
    ]);
}

#[test]
fn an_unknown_class_is_refused_and_the_nearest_suggested() {
    refuse_all(&[
        ("--class sneeker", &["unknown class \"sneeker\"", "did you mean \"Sneaker\"?", "0 to 3"]),
        ("--class boot", &["unknown class \"boot\"", "did you mean \"Ankle boot\"?"]),
        ("--class bags", &["unknown class \"bags\"", "did you mean \"Bag\"?"]),
        ("--class shirt", &["unknown class \"shirt\"", "did you mean \"T-shirt/top\"?"]),
        ("--class zebra", &["unknown class \"zebra\"", "T-shirt/top, Sneaker, Bag, Ankle boot"]),
        ("--class Bag,sneeker", &["unknown class \"sneeker\"", "did you mean \"Sneaker\"?"]),
        ("--class Bag,", &["unknown class \"\""]),
        ("--class 4", &["unknown class \"4\"", "0 to 3"]),
        ("--class -1", &["unknown class \"-1\"", "0 to 3"]),
    ]);
}

#[test]
fn counts_of_nothing_or_beyond_reason_are_refused() {
    refuse_all(&[
        ("--count 0", &["count 0"]),
        ("--count -2", &["'-2'", "--count"]),
        ("--count 18446744073709551615", &["--count 18446744073709551615", "at most"]),
        ("--batch 0", &["batch 0"]),
        ("--batch -2", &["'-2'", "--batch"]),
        ("--threads 0", &["--threads 0"]),
        ("--threads 1000000", &["--threads"]),
        ("--preview-every 0", &["--preview-every 0"]),
        ("--seed -1", &["'-1'", "--seed"]),
        ("--seed 18446744073709551616", &["'18446744073709551616'", "--seed"]),
    ]);
}

#[test]
fn guidance_that_is_no_number_or_interval_is_refused() {
    refuse_all(&[
        ("--guidance NaN", &["guidance scale NaN"]),
        ("--guidance inf", &["guidance scale inf"]),
        ("--guidance=-inf", &["guidance scale -inf"]),
        ("--guidance much", &["'much'", "--guidance"]),
        ("--guidance 2 --guidance-interval 800,200", &["guidance interval [800, 200]", "low then high"]),
        ("--guidance 2 --guidance-interval 500", &["--guidance-interval 500", "LO,HI"]),
        ("--guidance 2 --guidance-interval 1,2,3", &["--guidance-interval 1,2,3", "LO,HI"]),
        ("--guidance 2 --guidance-interval NaN,3", &["NaN,3"]),
        // It could not be kept in the image's parameters, which are JSON.
        ("--guidance 2 --guidance-interval 0,inf", &["0,inf", "finite"]),
        ("--guidance 2 --guidance-interval a,b", &["'a'", "--guidance-interval"]),
        ("--guidance 2 --guidance-channels 0", &["first 0 channels", "has 1"]),
        ("--guidance 2 --guidance-channels 2", &["first 2 channels", "has 1"]),
    ]);
}

#[test]
fn a_model_without_a_null_class_refuses_what_needs_one() {
    let place = Workplace::new();
    let mut config = config();
    config["null_class"] = serde_json::Value::Null;
    place.set_model(&config, &tensors(&config));
    place.refuses(place.generate("--guidance 2"), &["guidance needs a null class"]);
    place.refuses(place.generate("--class none"), &["needs a null class"]);
    Run::ok(&mut place.generate("--class 1"));
}

#[test]
fn an_unknown_solver_or_option_of_one_is_refused_and_the_nearest_suggested() {
    refuse_all(&[
        (
            "--solver dpmsolver++2m",
            &["\"dpmsolver++2m\"", "did you mean \"dpm-solver++2m\"?", "known are ddim"],
        ),
        ("--solver unipic", &["\"unipic\"", "did you mean \"unipc\"?"]),
        ("--solver diffusers:pmdm", &["\"diffusers:pmdm\"", "did you mean \"diffusers:pndm\"?"]),
        ("--solver", &["--solver"]),
        ("--solver euler:eta=1", &["euler has no option \"eta\"", "spacing, offset, final"]),
        ("--solver unipc:variance=fixed_small", &["unipc has no option \"variance\""]),
        ("--solver diffusers:pndm:order=2", &["diffusers:pndm has no option \"order\""]),
        ("--solver ddim:eta=2", &["eta=\"2\"", "from 0 to 1"]),
        ("--solver ddim:eta=NaN", &["eta=\"NaN\"", "from 0 to 1"]),
        ("--solver ddim:eta", &["eta", "key=value"]),
        ("--solver ddim:eta=0,eta=1", &["\"eta\" is given twice"]),
        ("--solver ddpm:variance=learned_range", &["learned_range", "predicts its variance"]),
        ("--solver ddim:offset=18446744073709551615", &["offset=18446744073709551615"]),
        ("--solver dpm-solver-2:final=zero", &["dpm-solver-2", "final=sigma_min"]),
        ("--solver diffusers:euler-ancestral", &["diffusers:euler-ancestral", "global generator"]),
        ("--solver diffusers:ddim:eta=0.5", &["global generator"]),
    ]);
}

#[test]
fn a_device_or_dtype_that_is_not_there_is_refused() {
    let place = Workplace::new();
    place.refuses(place.generate("--device tpu"), &["--device tpu", "cpu, cuda"]);
    place.refuses(place.generate("--device cuda:x"), &["--device cuda:x"]);
    place.refuses(place.generate("--device cuda:70000"), &["--device cuda:70000"]);
    place.refuses(place.generate("--device cuda:99"), &["Cuda(99)", "not there"]);
    place.refuses(place.generate("--dtype f16"), &["'f16'", "f32", "bf16"]);
    let doctor = Run::ok(&mut place.command("doctor --json"));
    if doctor.json_lines()[0]["cuda_visible"] == false {
        place.refuses(place.generate("--device cuda"), &["Cuda(0)", "not there", "doctor"]);
    }
}

#[test]
fn options_that_exclude_or_need_each_other_are_refused() {
    refuse_all(&[
        ("--exit full --schedule stairs", &["--exit", "--schedule", "cannot be used with"]),
        ("--resume --overwrite", &["--resume", "--overwrite", "cannot be used with"]),
        ("--strength 0.5", &["--init"]),
        ("--steps 4 --steps 5", &["--steps", "multiple times"]),
        ("--frobnicate", &["--frobnicate"]),
        ("stray", &["stray"]),
    ]);
}

#[test]
fn an_error_is_one_json_object_with_json() {
    let place = Workplace::new();
    let run = Run::of(&mut place.generate("--json --class sneeker"));
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!((&error["event"], &error["kind"]), (&"error".into(), &"bad_input".into()));
    assert!(error["message"].as_str().unwrap().contains("sneeker"));
}
