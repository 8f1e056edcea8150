//! Benches of a tiny network: what is in the table, what survives a kill, and that shards come to the same.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tiny_model::{Run, Workplace};

mod tiny_model;

const PLAN: &str = r#"
name = "tiny"
weights = ["tiny"]
steps = [4]
exit = ["schedule:stairs", "fixed:1", "change:0.3"]
tail = ["head"]
batch = [2]
threads = 1
n = 24
rounds = 6
labels = "balanced"
reference = "real"
floor = "held-out"
extractors = ["pixels"]
error-images = 2
"#;

/// A workplace with a plan and two sets of "real" images.
fn place(plan: &str) -> Workplace {
    let place = Workplace::new();
    place.write("plan.toml", plan);
    for (set, seed) in [("real", 1000), ("held-out", 2000)] {
        let words = format!("--class all --count 24 --seed {seed} --out {set} --quiet");
        Run::ok(&mut place.generate(&words));
    }
    place
}

fn lines(place: &Workplace, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(place.path(file)).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// All figures of a row but times.
fn figures(row: &Value) -> Value {
    let mut row = row.clone();
    row.as_object_mut().unwrap().remove("speed");
    row
}

fn all_figures(place: &Workplace, folder: &str) -> Vec<Value> {
    lines(place, &format!("{folder}/rows.jsonl")).iter().map(figures).collect()
}

#[test]
fn every_baseline_is_a_row_with_all_its_figures() {
    let place = place(PLAN);
    let run = Run::ok(&mut place.command("bench plan.toml --out results --json"));
    let told = run.json_lines();
    assert_eq!(told.last().unwrap()["event"], "done");
    let rows = lines(&place, "results/rows.jsonl");
    assert_eq!(told.len(), rows.len() + 1);
    let roles: Vec<&str> = rows.iter().map(|r| r["role"]["kind"].as_str().unwrap()).collect();
    for role in ["full", "fewer-steps", "fixed-exit", "time-schedule", "first-block-cache", "point"] {
        assert!(roles.contains(&role), "{role} in {roles:?}");
    }
    // fixed:1 and schedule:stairs are baselines by default, so they are there once.
    let exit = |row: &Value| row["settings"]["exit"].as_str().unwrap().to_owned();
    let mut named: Vec<(String, u64)> =
        rows.iter().map(|r| (exit(r), r["settings"]["steps"].as_u64().unwrap())).collect();
    named.sort();
    named.dedup();
    assert_eq!(named.len(), rows.len());
    for row in &rows {
        let (speed, quality) = (&row["speed"], &row["quality"][0]);
        assert!(row["error"].is_null(), "{row}");
        assert_eq!(speed["images_per_second"]["rounds"], 5, "the first of six rounds warms up");
        assert_eq!(row["settings"]["labels"], "balanced");
        assert_eq!((&quality["n"], &quality["n_reference"]), (&24.into(), &24.into()));
        for figure in ["frechet", "frechet_floor", "precision", "recall", "density", "coverage"] {
            assert!(quality[figure].as_f64().unwrap() >= 0.0, "{figure}: {row}");
        }
        let is_full = row["role"]["kind"] == "full";
        assert_eq!(row["fidelity"].is_null(), is_full);
        assert_eq!(quality["frechet_difference"].is_null(), is_full);
        let predicted = speed["predicted_speedup"].as_f64().unwrap();
        assert!(
            predicted >= 1.0 && (predicted == 1.0) == is_full || exit(row).starts_with("change"),
            "{row}"
        );
        if exit(row) == "fixed:1" {
            assert_eq!((&row["depth"]["mean"], predicted), (&1.0.into(), 3.0));
            assert!(row["by_time"].as_array().unwrap().iter().all(|t| t["deviation"] == 0.0));
        }
        assert_eq!(
            row["by_time"].as_array().unwrap().len() as u64,
            row["settings"]["steps"].as_u64().unwrap()
        );
    }
    let errors: Value =
        serde_json::from_slice(&std::fs::read(place.path("results/exit_errors.json")).unwrap()).unwrap();
    let last = |t: &Value| t.as_array().unwrap().last().unwrap().as_f64().unwrap();
    assert!(errors[0]["error"].as_array().unwrap().iter().all(|t| last(t) == 0.0), "full depth has no error");
    assert!(errors[0]["error"][0][0].as_f64().unwrap() > 0.0);
    for file in ["run.json", "results.csv", "results.md", "report.html"] {
        assert!(place.path("results").join(file).is_file(), "{file}");
    }
}

#[test]
fn a_baseline_that_is_left_out_is_named_with_its_reason() {
    let plan = format!("{PLAN}[left-out]\nfewer-steps = \"four steps are few enough\"\n");
    let place = place(&plan);
    let run = Run::ok(&mut place.command("bench plan.toml --out results"));
    assert!(run.stdout.contains("four steps are few enough"), "{run:?}");
    let rows = lines(&place, "results/rows.jsonl");
    assert!(rows.iter().all(|r| r["role"]["kind"] != "fewer-steps"));
    for file in ["results.md", "report.html"] {
        let text = std::fs::read_to_string(place.path("results").join(file)).unwrap();
        assert!(text.contains("four steps are few enough"), "{file}");
    }
}

#[test]
fn a_killed_bench_goes_on_behind_its_last_round_and_comes_to_the_same() {
    let plan = PLAN.replace("n = 24", "n = 96").replace("rounds = 6", "rounds = 24");
    let place = place(&plan);
    Run::ok(&mut place.command("bench plan.toml --out whole --quiet"));

    let mut command = place.command("bench plan.toml --out killed");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let file = place.path("killed/rounds.jsonl");
    let patience = Instant::now();
    while std::fs::read_to_string(&file).unwrap_or_default().lines().count() < 10 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        assert!(patience.elapsed() < Duration::from_secs(120), "no rounds after two minutes");
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The kill may have cut a line short.
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{before}{{\"point\":\"")).unwrap();

    Run::ok(&mut place.command("bench plan.toml --out killed --quiet"));
    let after = lines(&place, "killed/rounds.jsonl");
    for line in before.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()) {
        assert!(after.contains(&line), "{line} is kept");
    }
    let sessions: Vec<&Value> = after.iter().map(|l| &l["session"]).collect();
    assert!(sessions.contains(&&"1".into()) && sessions.contains(&&"2".into()), "{sessions:?}");
    assert_eq!(all_figures(&place, "killed"), all_figures(&place, "whole"));

    // A finished bench draws nothing again.
    let rows = std::fs::read(place.path("killed/rows.jsonl")).unwrap();
    Run::ok(&mut place.command("bench plan.toml --out killed --quiet"));
    assert!(std::fs::read(place.path("killed/rows.jsonl")).unwrap() == rows);
}

#[test]
fn shards_merge_to_the_figures_of_one_run() {
    let place = place(PLAN);
    Run::ok(&mut place.command("bench plan.toml --out whole --quiet"));
    let shards: Vec<_> = (1..=3)
        .map(|i| {
            let words = format!("bench plan.toml --shard {i}/3 --out shards/{i} --quiet");
            place.command(&words).spawn().unwrap()
        })
        .collect();
    for mut shard in shards {
        assert!(shard.wait().unwrap().success());
    }
    place.refuses(place.command("bench --merge shards/1 shards/2 --out merged"), &["shard 3/3 is missing"]);
    place.refuses(
        place.command("bench --merge shards/1 shards/1 shards/3 --out merged"),
        &["shard 1/3", "too"],
    );
    Run::ok(&mut place.command("bench --merge shards/1 shards/2 shards/3 --out merged --quiet"));
    assert_eq!(all_figures(&place, "merged"), all_figures(&place, "whole"));
    // Of six rounds in three shards, three only warm up.
    for row in lines(&place, "merged/rows.jsonl") {
        assert_eq!(row["speed"]["images_per_second"]["rounds"], 3);
        assert_eq!(row["speed"]["speedup"]["rounds"], 3);
    }
    assert!(std::fs::read_to_string(place.path("merged/results.md")).unwrap().contains("pooled"));
}

#[test]
fn a_peer_that_fails_is_a_row_with_its_error() {
    let plan = format!("{PLAN}[peers]\nnames = [\"plain-eager\"]\npython = \"/no/such/python\"\n");
    let place = place(&plan);
    Run::ok(&mut place.command("bench plan.toml --out results --quiet"));
    let rows = lines(&place, "results/rows.jsonl");
    let peer = rows.iter().find(|r| r["role"]["kind"] == "peer").expect("the peer has a row");
    assert!(!peer["error"].as_str().unwrap().is_empty());
    assert!(rows.iter().filter(|r| r["role"]["kind"] != "peer").all(|r| r["error"].is_null()));
}

/// A Python that draws the noise that it is given, and has no library.
const ECHO: &str = r#"#!/usr/bin/env python3
import json, struct, sys, time
print(json.dumps({"torch": "echo", "diffusers": "none", "blocks": 3, "exact": False}), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    answer = {"difference": 1e-7, "compile_seconds": 2.0}
    if order["order"] == "prepare":
        with open(order["file"], "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
            data = file.read()
        noise = header["noise"]
        answer = {"compile_seconds": 0.0}
    elif order["order"] == "draw":
        start = time.perf_counter()
        time.sleep(0.002)
        answer = {"start": start, "end": time.perf_counter(), "peak_rss": None, "evaluations": 4, "blocks_run": 8,
                  "taken_depth": 1.5}
    elif order["order"] == "write":
        start, end = noise["data_offsets"]
        kept = {"images": noise | {"data_offsets": [0, end - start]}}
        text = json.dumps(kept).encode()
        with open(order["file"], "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + data[start:end])
        answer = {"images": noise["shape"][0]}
    print(json.dumps(answer), flush=True)
"#;

#[test]
#[ignore = "needs a python3, without any package"]
fn a_peer_takes_part_in_as_many_rounds_as_the_plan_says() {
    let peers = "[peers]\nnames = [\"adadiff-rule\"]\npython = \"./echo\"\nrounds = 2\n";
    let place = place(&format!("{PLAN}{peers}"));
    place.write("echo", ECHO);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.path("echo"), mode).unwrap();
    Run::ok(&mut place.command("bench plan.toml --out whole --quiet"));
    let peer_of = |folder: &str| {
        let rows = lines(&place, &format!("{folder}/rows.jsonl"));
        assert!(rows.iter().all(|row| row["error"].is_null()), "{rows:?}");
        rows.into_iter().find(|r| r["role"]["kind"] == "peer").unwrap()
    };
    // Six rounds of four images: one warms up, two are timed.
    let peer = peer_of("whole");
    assert_eq!(peer["speed"]["images_per_second"]["rounds"], 2);
    assert_eq!(peer["speed"]["speedup"]["rounds"], 2);
    assert_eq!((&peer["quality"][0]["n"], &peer["quality"][0]["n_floor"]), (&12.into(), &12.into()));
    assert!(!peer["quality"][0]["frechet_difference"].is_null() && !peer["fidelity"].is_null());
    let facts = &peer["peer"];
    assert_eq!((&facts["images"], &facts["taken_depth"]), (&12.into(), &1.5.into()));
    assert_eq!((&facts["forward_difference"], &facts["compile_seconds"]), (&1e-7.into(), &2.0.into()));
    assert_eq!(facts["trials"][0]["arrangement"], "1 process × 1 thread");
    assert_eq!(peer["depth"]["mean"], 2.0);
    for file in ["results.md", "report.html"] {
        let text = std::fs::read_to_string(place.path("whole").join(file)).unwrap();
        assert!(text.contains("drew 12 of 24 images"), "{file}");
    }
    let others = lines(&place, "whole/rows.jsonl");
    assert!(others.iter().filter(|r| r["role"]["kind"] != "peer").all(|r| r["quality"][0]["n"] == 24));

    // Two shards of three rounds: the peer is in all of them, and in the merged row.
    for shard in 1..=2 {
        let words = format!("bench plan.toml --shard {shard}/2 --out shards/{shard} --quiet");
        Run::ok(&mut place.command(&words));
    }
    Run::ok(&mut place.command("bench --merge shards/1 shards/2 --out merged --quiet"));
    let merged = peer_of("merged");
    assert_eq!((&merged["quality"][0]["n"], &merged["peer"]["images"]), (&24.into(), &24.into()));
    assert_eq!(merged["speed"]["images_per_second"]["rounds"], 4);
}

#[test]
fn two_benches_do_not_share_a_folder() {
    let place = place(PLAN);
    std::fs::create_dir(place.path("results")).unwrap();
    let held = std::fs::File::create(place.path("results/.lock")).unwrap();
    held.lock().unwrap();
    let refused = place.command("bench plan.toml --out results").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("another bench is at work in it"));
    assert!(!place.path("results/plan.json").exists());
    drop(held);
    Run::ok(&mut place.command("bench plan.toml --out results --quiet"));
}

#[test]
fn an_interrupted_bench_says_so_and_keeps_what_is_there() {
    let plan = PLAN.replace("n = 24", "n = 2000").replace("rounds = 6", "rounds = 1000");
    let place = place(&plan);
    let mut command = place.command("bench plan.toml --out results");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let file = place.path("results/rounds.jsonl");
    let patience = Instant::now();
    while std::fs::read_to_string(&file).unwrap_or_default().lines().count() < 3 {
        assert!(patience.elapsed() < Duration::from_secs(120), "no rounds after two minutes");
        sleep(Duration::from_millis(5));
    }
    let kill = std::process::Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(kill.unwrap().success());
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(130), "{run:?}");
    assert!(run.stderr.contains("the same command goes on"), "{run:?}");
    assert!(lines(&place, "results/rounds.jsonl").len() >= 3);
}

#[test]
fn the_cluster_files_are_well_formed() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let bash = std::process::Command::new("bash").arg("-n").arg(root.join("docs/cluster/slurm.sh")).status();
    assert!(bash.unwrap().success());
    let yaml = std::fs::read_to_string(root.join("docs/cluster/job.yaml")).unwrap();
    // Every option that the files give is one of the program's.
    let help =
        Run::ok(std::process::Command::new(env!("CARGO_BIN_EXE_offramp")).args(["bench", "--help"])).stdout;
    let slurm = std::fs::read_to_string(root.join("docs/cluster/slurm.sh")).unwrap();
    for option in ["--shard", "--merge", "--out", "--quiet"] {
        assert!(help.contains(option) && slurm.contains(option) && yaml.contains(option), "{option}");
    }
    let documents = yaml_rust2::YamlLoader::load_from_str(&yaml).unwrap();
    let [job] = &documents[..] else { panic!("{} documents", documents.len()) };
    let spec = &job["spec"];
    assert_eq!((job["kind"].as_str(), spec["completionMode"].as_str()), (Some("Job"), Some("Indexed")));
    let container = &spec["template"]["spec"]["containers"][0];
    let completions = spec["completions"].as_i64().unwrap();
    // Every index is a shard, and the shell's script is one argument.
    let script = container["args"][0].as_str().unwrap();
    assert!(
        container["args"][1].is_badvalue() && script.contains(&format!("+ 1))/{completions}")),
        "{script}"
    );
    let mounts = container["volumeMounts"].as_vec().unwrap();
    let volumes = spec["template"]["spec"]["volumes"].as_vec().unwrap();
    for mount in mounts {
        assert!(volumes.iter().any(|v| v["name"] == mount["name"]), "{mount:?}");
    }
    // The script is one that a shell reads.
    let bash = std::process::Command::new("bash").args(["-n", "-c", script]).status();
    assert!(bash.unwrap().success());
}
