//! `offramp train features`: runs that end, that are killed, that stop by themselves, that are refused.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A folder with a made-up data set: class k is a bright square at a place of its own, in noise.
struct Workplace(tempfile::TempDir);

impl Workplace {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("data")).unwrap();
        place.write("train", 256, 1);
        place.write("t10k", 60, 2);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, part: &str, n: usize, mut noise: u32) {
        let mut pixels = vec![0, 0, 8, 3];
        pixels.extend([n as u32, 28, 28].iter().flat_map(|d| d.to_be_bytes()));
        for i in 0..n {
            let class = i % 10;
            let (top, left) = (3 + class / 5 * 11, 1 + class % 5 * 5);
            for p in 0..28 * 28 {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let inside = (top..top + 8).contains(&(p / 28)) && (left..left + 5).contains(&(p % 28));
                pixels.push((noise >> 26) as u8 + if inside { 150 } else { 0 });
            }
        }
        let mut labels = vec![0, 0, 8, 1];
        labels.extend((n as u32).to_be_bytes());
        labels.extend((0..n).map(|i| (i % 10) as u8));
        fs::write(self.path(&format!("data/{part}-images-idx3-ubyte")), pixels).unwrap();
        fs::write(self.path(&format!("data/{part}-labels-idx1-ubyte")), labels).unwrap();
    }

    /// The command, with a run of 24 steps in `out`.
    fn train(&self, out: &str, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offramp"));
        command.current_dir(self.0.path()).env_remove("OFFRAMP_DATA");
        command.args(["train", "features", "--data", "data", "--out", out]);
        command.args("--images 256 --batch 32 --checkpoint-every 3".split(' '));
        if !words.contains("--epochs") {
            command.args(["--epochs", "3"]);
        }
        command.args(words.split_whitespace());
        command
    }

    fn ok(&self, out: &str, words: &str) -> Output {
        let output = self.train(out, words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn refused(&self, out: &str, words: &str) -> String {
        let output = self.train(out, words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    }

    /// The metrics, but for the time they took.
    fn metrics(&self, out: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(out).join("metrics.jsonl")).unwrap();
        let line = |line: &str| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            value.as_object_mut().unwrap().remove("seconds").unwrap();
            value
        };
        text.lines().map(line).collect()
    }

    fn model(&self, out: &str) -> Vec<u8> {
        fs::read(self.path(out).join("model.safetensors")).unwrap()
    }
}

fn json_lines(text: &[u8]) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

#[test]
fn a_killed_run_that_is_resumed_ends_as_an_unbroken_one_on_other_threads() {
    let place = Workplace::new();
    let whole = json_lines(&place.ok("whole", "--json --threads 1").stdout);
    let losses: Vec<f64> = whole.iter().filter_map(|line| line["loss"].as_f64()).collect();
    assert_eq!(losses.len(), 24);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(mean(&losses[20..]) < 0.7 * mean(&losses[..4]), "{losses:?}");

    let mut child = place.train("broken", "--json --threads 2").stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(seen.any(|line| line.unwrap().contains("\"step\":11,")), "it ended before step 11");
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    assert!(!place.path("broken/model.safetensors").exists());

    let rest = json_lines(&place.ok("broken", "--json --threads 2 --resume").stdout);
    let first = rest[0]["step"].as_u64().unwrap() as usize;
    assert!(first >= 10 && (first - 1).is_multiple_of(3), "it went on at step {first}");
    let losses_of_rest: Vec<f64> = rest.iter().filter_map(|line| line["loss"].as_f64()).collect();
    assert_eq!(losses_of_rest, losses[first - 1..]);
    assert_eq!(place.metrics("broken"), place.metrics("whole"));
    assert_eq!(place.metrics("whole").len(), 5, "steps 8, 10, 16, 20, 24");
    assert!(place.model("broken") == place.model("whole"));

    // A finished run is finished again at once.
    let again = json_lines(&place.ok("broken", "--json --resume").stdout);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0]["sha256"], whole.last().unwrap()["sha256"]);
}

#[test]
fn a_run_stops_when_its_time_is_up_and_says_what_came_of_it() {
    let place = Workplace::new();
    let stopped = place.ok("run", "--max-minutes 0");
    assert!(String::from_utf8(stopped.stdout).unwrap().contains("behind step 1 of 24"));
    assert!(!place.path("run/model.safetensors").exists());
    let done = json_lines(&place.ok("run", "--json --resume").stdout);
    assert_eq!(done[0]["step"], 2);
    let done = done.last().unwrap();
    assert_eq!(done["bytes"], place.model("run").len());
    assert!(done["bytes"].as_u64().unwrap() <= 1_000_000);
    let card = fs::read_to_string(place.path("run/README.md")).unwrap();
    let accuracy = format!("{:.2} % of", 100.0 * done["test_accuracy"].as_f64().unwrap());
    for fact in [done["sha256"].as_str().unwrap(), &accuracy, "--epochs 3 --batch 32 --images 256"] {
        assert!(card.contains(fact), "{fact} is not in\n{card}");
    }
}

#[test]
fn ctrl_c_leaves_a_run_that_can_go_on() {
    let place = Workplace::new();
    let mut child = place.train("run", "--json --epochs 1000").stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(seen.next().unwrap().unwrap().contains("\"step\":1,"));
    let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(kill.unwrap().success());
    let last = seen.map_while(Result::ok).last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let last = serde_json::from_str::<Value>(&last).unwrap()["step"].as_u64().unwrap();
    let resumed = place.ok("run", "--json --epochs 1000 --resume --max-minutes 0");
    assert_eq!(json_lines(&resumed.stdout)[0]["step"], last + 1);
}

#[test]
fn refuses_what_cannot_be() {
    let place = Workplace::new();
    for (words, named) in [
        ("--epochs 0", "epochs 0"),
        ("--batch 33", "batch 33"),
        ("--batch 0", "batch 0"),
        ("--batch 300", "batch 300"),
        ("--images 257", "images 257"),
        ("--max-minutes -1", "--max-minutes"),
        ("--data nowhere", "make data"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offramp"));
        command.current_dir(place.0.path()).args(["train", "features", "--out", "out"]);
        for usual in ["--data data", "--images 256"] {
            if words.split(' ').next() != usual.split(' ').next() {
                command.args(usual.split(' '));
            }
        }
        let output = command.args(words.split(' ')).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(named), "{words}: {stderr}");
        assert!(!place.path("out").exists(), "{words}");
    }
}

#[test]
fn refuses_a_folder_with_another_run() {
    let place = Workplace::new();
    place.ok("run", "--max-minutes 0 --quiet");
    assert!(place.refused("run", "").contains("--resume"));
    let stderr = place.refused("run", "--resume --seed 5");
    assert!(stderr.contains("recipe.seed") && stderr.contains("config.json"), "{stderr}");
    // Other data under the same names.
    place.write("train", 256, 3);
    let stderr = place.refused("run", "--resume");
    assert!(stderr.contains("data.sha256"), "{stderr}");
}

#[test]
fn refuses_a_damaged_checkpoint_and_damaged_data() {
    let place = Workplace::new();
    place.ok("run", "--max-minutes 0 --quiet");
    let checkpoint = place.path("run/checkpoint.safetensors");
    let bytes = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &bytes[..bytes.len() / 2]).unwrap();
    assert!(place.refused("run", "--resume").contains("checkpoint.safetensors"));

    let images = place.path("data/train-images-idx3-ubyte");
    let bytes = fs::read(&images).unwrap();
    fs::write(&images, &bytes[..bytes.len() - 1]).unwrap();
    let stderr = place.refused("other", "");
    assert!(stderr.contains("train-images-idx3-ubyte") && stderr.contains("200703"), "{stderr}");
}

#[test]
#[ignore = "half a minute: trains on 6,400 real images"]
fn learns_fashion_in_one_short_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let out: &Path = folder.path();
    let output = Command::new(env!("CARGO_BIN_EXE_offramp"))
        .args(["train", "features", "--images", "6400", "--epochs", "1", "--batch", "64", "--json", "--out"])
        .arg(out.join("run"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = json_lines(&output.stdout);
    let losses: Vec<f64> = lines.iter().filter_map(|line| line["loss"].as_f64()).collect();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(mean(&losses[80..]) < 0.6 * mean(&losses[..20]), "{losses:?}");
    let accuracy = lines.last().unwrap()["test_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.7, "{accuracy}");
}
