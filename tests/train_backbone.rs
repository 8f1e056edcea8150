//! `offramp train backbone`: runs that end, that are killed, that diverge, that are refused.

mod tiny_training;

use std::fs;
use std::process::{Command, Stdio};

use tiny_training::tiny_model::{Run, config};
use tiny_training::{bytes, killed_and_resumed, losses, metrics, train, workplace};

#[test]
fn a_killed_run_that_is_resumed_ends_as_an_unbroken_one_on_other_threads() {
    let place = workplace();
    let whole = Run::ok(&mut train(&place, "backbone --json --threads 1 --out whole"));
    let all = losses(&whole);
    assert_eq!(all.len(), 24);
    let rest = killed_and_resumed(&place, "backbone --threads 2 --out broken", 11);
    let first = rest.json_lines()[0]["step"].as_u64().unwrap() as usize;
    assert!(first >= 10 && (first - 1).is_multiple_of(3), "it went on at step {first}");
    for (got, expected) in losses(&rest).iter().zip(&all[first - 1..]) {
        assert!((got - expected).abs() <= 1e-5 * expected, "{got} {expected}");
    }
    assert_eq!(metrics(&place, "broken"), metrics(&place, "whole"));
    assert!(
        bytes(&place, "broken/weights/model.safetensors") == bytes(&place, "whole/weights/model.safetensors")
    );

    // A finished run is finished again at once.
    let again = Run::ok(&mut train(&place, "backbone --json --resume --out broken"));
    assert_eq!(again.json_lines().len(), 1);
}

#[test]
fn learns_from_nothing_and_leaves_a_folder_that_speaks_for_itself() {
    let place = workplace();
    place.write("new/config.json", config().to_string());
    let words =
        "backbone --config new/config.json --steps 400 --rate 3e-3 --batch 16 --samples-every 200 --json";
    let run = Run::ok(&mut train(&place, words));
    let losses = losses(&run);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(
        mean(&losses[380..]) < 0.5 * mean(&losses[..20]),
        "{} {}",
        mean(&losses[..20]),
        mean(&losses[380..])
    );
    assert_eq!(place.names("run/samples"), ["000200.png", "000400.png"]);
    for name in ["config.json", "metrics.jsonl", "loss.svg", "checkpoint.safetensors"] {
        assert!(place.names("run").contains(&name.to_owned()), "{name}");
    }
    let plot = String::from_utf8(bytes(&place, "run/loss.svg")).unwrap();
    assert!(roxmltree::Document::parse(&plot).is_ok());
    // The weights are weights: f16, of the same network, and they draw.
    let weights = run.json_lines().last().unwrap()["weights"].as_str().unwrap().to_owned();
    assert_eq!(weights, "run/weights");
    let drawn = Run::of(
        &mut place.command("generate --weights run/weights --steps 2 --class all --out drawn --threads 1"),
    );
    assert_eq!(drawn.code, Some(0), "{drawn:?}");
}

#[test]
fn stops_when_its_time_is_up_and_goes_on() {
    let place = workplace();
    let stopped = Run::ok(&mut train(&place, "backbone --max-minutes 0"));
    assert!(stopped.stdout.contains("behind step 1 of 24"), "{stopped:?}");
    let rest = Run::ok(&mut train(&place, "backbone --json --resume"));
    assert_eq!(rest.json_lines()[0]["step"], 2);
    assert_eq!(rest.json_lines().last().unwrap()["event"], "done");
}

#[test]
fn a_run_that_diverges_keeps_its_last_good_checkpoint() {
    let place = workplace();
    let run =
        Run::of(&mut train(&place, "backbone --rate 1e30 --warm-up 0.9 --clip 1e30 --checkpoint-every 1"));
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("diverged"), "{run:?}");
    let file = place.path("run/checkpoint.safetensors");
    let text = fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&text).unwrap();
    for (name, view) in tensors.tensors() {
        let finite = view.data().as_chunks::<4>().0.iter().all(|b| f32::from_le_bytes(*b).is_finite());
        assert!(finite, "{name}");
    }
}

#[test]
fn a_full_disk_leaves_the_checkpoint_before() {
    let place = workplace();
    Run::ok(&mut train(&place, "backbone --max-minutes 0"));
    let before = bytes(&place, "run/checkpoint.safetensors");
    // No file may grow beyond 8 KB, which says the same as a disk without room.
    let command = train(&place, "backbone --resume --checkpoint-every 1");
    let mut limited = Command::new("bash");
    limited.current_dir(place.path(".")).stdin(Stdio::null());
    limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "bash"]);
    limited.arg(command.get_program()).args(command.get_args());
    let run = Run::of(&mut limited);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("checkpoint.safetensors"), "{run:?}");
    assert!(bytes(&place, "run/checkpoint.safetensors") == before);
    assert!(place.names("run").iter().all(|name| !name.contains(".part-")), "{:?}", place.names("run"));
    let rest = Run::ok(&mut train(&place, "backbone --resume --json"));
    assert_eq!(rest.json_lines()[0]["step"], 2);
}

#[test]
fn unreadable_images_are_named_and_counted() {
    let place = workplace();
    for class in 0..4 {
        for i in 0..60 {
            let shade = [(i * 4 + class) as u8; 64];
            let file = place.path(&format!("clothes/{class}/{i:03}.png"));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            image::save_buffer(&file, &shade, 8, 8, image::ColorType::L8).unwrap();
        }
    }
    place.write("clothes/2/007.png", "not an image");
    let run = Run::ok(&mut train(&place, "backbone --data clothes --steps 2"));
    assert!(run.stderr.contains("007.png") && run.stderr.contains("1 of 240"), "{run:?}");
    for i in 10..13 {
        place.write(&format!("clothes/1/{i:03}.png"), "not an image");
    }
    place.refuses(train(&place, "backbone --data clothes --steps 2 --out other"), &["4", "240"]);
}

#[test]
fn refuses_what_cannot_be() {
    let place = workplace();
    for (words, named) in [
        ("--workers 0", "workers 0"),
        ("--threads 0", "threads 0"),
        ("--steps 0", "steps 0"),
        ("--batch 0", "batch 0"),
        ("--batch 7", "batch 7"),
        ("--batch 98", "batch 98"),
        ("--micro-batch 0", "micro-batch 0"),
        ("--rate -1", "rate -1"),
        ("--rate NaN", "rate NaN"),
        ("--average 1", "average 1"),
        ("--clip 0", "clip 0"),
        ("--min-snr -5", "min-snr -5"),
        ("--label-dropout 2", "label-dropout 2"),
        ("--data nowhere", "nowhere"),
        ("--from nothing", "nothing"),
        ("--config nowhere.json", "nowhere.json"),
        ("--max-minutes -1", "--max-minutes"),
    ] {
        place.refuses(train(&place, &format!("backbone {words}")), &[named]);
    }
}

#[test]
fn refuses_a_folder_with_another_run_and_a_checkpoint_of_another_network() {
    let place = workplace();
    Run::ok(&mut train(&place, "backbone --max-minutes 0 --quiet"));
    place.refuses(train(&place, "backbone"), &["--resume"]);
    place.refuses(train(&place, "backbone --resume --seed 5"), &["recipe.seed"]);
    place.refuses(train(&place, "exits --method deediff --resume"), &["run", "config.json"]);
    // The network's own configuration disagrees with its tensors.
    let mut wider = config();
    wider["hidden_size"] = 64.into();
    place.write("weights/wider/config.json", wider.to_string());
    fs::copy(place.path("weights/tiny/model.safetensors"), place.path("weights/wider/model.safetensors"))
        .unwrap();
    place.refuses(train(&place, "backbone --from wider --out other"), &["model.safetensors", "wrong shape"]);
    // A checkpoint of another run, put in its place.
    let checkpoint = place.path("run/checkpoint.safetensors");
    fs::copy(place.path("weights/tiny/model.safetensors"), &checkpoint).unwrap();
    place.refuses(train(&place, "backbone --resume"), &["checkpoint.safetensors", "missing"]);
}
