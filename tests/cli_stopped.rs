//! Runs that do not reach their end: killed, interrupted, out of disk space. No file under a final name is
//! ever half there, and what is there can be continued.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tiny_model::{Run, Workplace, pixels};

mod tiny_model;

/// Far more images than a test can wait for, each of many evaluations.
const LONG: &str = "--class all --count 100000 --steps 100 --solver ddim --batch 2";

/// Starts a run that is longer than the test and waits until it has written `images` images.
fn start(place: &Workplace, words: &str, images: usize) -> Child {
    let mut child = place.generate(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let patience = Instant::now();
    while finished(place).len() < images {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended: {:?}",
            Run::from(child.wait_with_output().unwrap())
        );
        assert!(patience.elapsed() < Duration::from_secs(120), "no images after two minutes");
        sleep(Duration::from_millis(10));
    }
    child
}

fn finished(place: &Workplace) -> Vec<String> {
    if !place.path("out").is_dir() {
        return vec![];
    }
    place.names("out").into_iter().filter(|n| n.ends_with(".png")).collect()
}

/// Every image decodes and carries its parameters; returns how many there are.
fn assert_whole(folder: &Path, names: &[String]) -> usize {
    for name in names {
        let file = folder.join(name);
        assert_eq!(pixels(&file).0, (8, 8), "{name}");
        let parameters = offramp::output::read_parameters(&file).unwrap();
        assert_eq!(format!("{:06}.png", parameters.image.image), *name);
    }
    names.len()
}

fn signal(child: &Child, name: &str) {
    let kill = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status();
    assert!(kill.unwrap().success());
}

#[test]
fn a_killed_run_leaves_whole_images_and_can_be_resumed() {
    let place = Workplace::new();
    let mut child = start(&place, LONG, 6);
    child.kill().unwrap();
    child.wait().unwrap();
    let names = finished(&place);
    let kept = assert_whole(&place.path("out"), &names);
    let before: Vec<_> = names.iter().map(|n| std::fs::read(place.path("out").join(n)).unwrap()).collect();

    // The last ones of a longer run are drawn; what was there stays as it is.
    let more = kept + 3;
    let words = LONG.replace("100000", &more.to_string());
    let resumed = Run::ok(&mut place.generate(&format!("{words} --resume --json")));
    assert_eq!(resumed.json_lines().last().unwrap()["kept"], kept);
    assert_eq!(assert_whole(&place.path("out"), &finished(&place)), more);
    for (name, bytes) in names.iter().zip(before) {
        assert!(std::fs::read(place.path("out").join(name)).unwrap() == bytes, "{name}");
    }
}

#[test]
fn an_interrupted_run_keeps_its_images_and_says_how_many() {
    let place = Workplace::new();
    for name in ["INT", "TERM"] {
        // Some of its own, so that it listens to signals by then.
        let images = finished(&place).len() + 2;
        let child =
            start(&place, &format!("{LONG} --resume --trace trace.json --heat-map depths.png"), images);
        signal(&child, name);
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.code, Some(130), "{name}: {run:?}");
        let kept = assert_whole(&place.path("out"), &finished(&place));
        assert!(kept >= images);
        assert!(
            run.stderr.contains(&format!("interrupted: {kept} of 100000 images are finished")),
            "{run:?}"
        );
        assert!(place.names("out").iter().all(|n| !n.contains(".part")), "{name}");
        let trace = std::fs::read(place.path("trace.json")).unwrap();
        let trace: serde_json::Value = serde_json::from_slice(&trace).unwrap();
        assert!(!trace["images"].as_array().unwrap().is_empty(), "{name}");
        assert!(offramp::output::read_png(&place.path("depths.png")).is_ok(), "{name}");
    }
}

/// What a run against a full disk must come to: exit code 1, the file by name, whole images, no leftovers.
fn assert_failed_cleanly(run: &Run, folder: &Path, mention: &str) -> usize {
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains(".png: ") && run.stderr.contains(mention), "{run:?}");
    assert!(!run.stderr.contains("panicked"), "{run:?}");
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.collect();
    assert!(names.iter().all(|n| n.ends_with(".png") && !n.starts_with('.')), "{names:?}");
    assert_whole(folder, &names)
}

#[test]
fn a_write_that_fails_names_the_file_and_leaves_nothing_half_written() {
    let place = Workplace::new();
    // No file may grow at all; with the signal ignored, writing fails as on a full disk.
    let words = "generate --weights tiny --threads 1 --class all --count 8 --steps 2";
    let script = format!("trap '' XFSZ; ulimit -f 0; exec \"$0\" {words}");
    let mut sh = Command::new("sh");
    sh.current_dir(place.path("")).args(["-c", &script, env!("CARGO_BIN_EXE_offramp")]);
    let run = Run::of(&mut sh);
    assert_eq!(assert_failed_cleanly(&run, &place.path("out"), "File too large"), 0);

    Run::ok(place.command(words).arg("--resume"));
    assert_eq!(assert_whole(&place.path("out"), &finished(&place)), 8);
    // The same for the files beside the images.
    for file in ["--grid g.png", "--npz i.npz", "--trace t.json", "--heat-map h.png"] {
        let script = format!("trap '' XFSZ; ulimit -f 0; exec \"$0\" {words} --resume {file}");
        let mut sh = Command::new("sh");
        sh.current_dir(place.path("")).args(["-c", &script, env!("CARGO_BIN_EXE_offramp")]);
        let run = Run::of(&mut sh);
        let name = file.split(' ').nth(1).unwrap();
        assert_eq!(run.code, Some(1), "{file}: {run:?}");
        assert!(run.stderr.contains(name) && run.stderr.contains("File too large"), "{file}: {run:?}");
        assert_eq!(place.names(""), ["out", "schedules", "weights"], "{file}");
    }
}

#[test]
fn a_disk_that_fills_up_ends_the_run_with_the_finished_images_whole() {
    let place = Workplace::new();
    std::fs::create_dir(place.path("disk")).unwrap();
    let disk = place.path("disk");
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"]).arg(&disk).stderr(Stdio::null());
    if !mount.status().is_ok_and(|s| s.success()) {
        // Without the right to mount, the test before this one still has writing fail.
        eprintln!("not run: mounting a file system needs root");
        return;
    }
    let mut command = place.generate("--class all --count 50 --steps 2 --out disk/out");
    let outcome = command.output();
    let unmount = |place: &Path| Command::new("umount").arg("-l").arg(place).status();
    let run = Run::from(outcome.unwrap());
    let checked =
        std::panic::catch_unwind(|| assert_failed_cleanly(&run, &disk.join("out"), "No space left"));
    assert!(unmount(&disk).unwrap().success());
    let images = checked.unwrap_or_else(|e| std::panic::resume_unwind(e));
    assert!((1..50).contains(&images), "{images} images on four pages");
}
