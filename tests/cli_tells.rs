//! What the program says of itself, of weights and of schedules.

use serde_json::json;

use tiny_model::{DEPTH, LABELS, Run, Workplace};

mod tiny_model;

#[test]
fn every_help_has_an_example() {
    let place = Workplace::new();
    for words in ["--help", "generate --help", "inspect --help", "doctor --help", "completions --help"] {
        let run = Run::ok(&mut place.command(words));
        assert!(run.stdout.contains("Example"), "{words}: {}", run.stdout);
        assert!(run.stdout.contains("offramp "), "{words}: {}", run.stdout);
        assert_eq!(run.stderr, "");
    }
    let short = Run::ok(&mut place.command("generate -h"));
    assert!(short.stdout.contains("--schedule"));
    assert_eq!(
        Run::ok(&mut place.command("--version")).stdout,
        concat!("offramp ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert_eq!(Run::of(&mut place.command("")).code, Some(2));
}

#[test]
fn there_are_completions_for_every_shell() {
    let place = Workplace::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = Run::ok(&mut place.command(&format!("completions {shell}")));
        for word in ["offramp", "guidance-interval", "inspect"] {
            assert!(run.stdout.contains(word), "{shell}: no {word}");
        }
    }
}

#[test]
fn doctor_says_which_libtorch_runs_and_what_it_can_do() {
    let place = Workplace::new();
    let facts = Run::ok(&mut place.command("doctor --json")).json_lines().remove(0);
    for (field, kind) in [
        ("libtorch_folder", "string"),
        ("libtorch", "string"),
        ("cpu_features", "array"),
        ("threads", "number"),
        ("cores", "number"),
        ("cuda_linked", "bool"),
        ("cuda_visible", "bool"),
        ("bf16", "bool"),
    ] {
        let value = &facts[field];
        let found = match value {
            _ if value.is_string() => "string",
            _ if value.is_array() => "array",
            _ if value.is_number() => "number",
            _ if value.is_boolean() => "bool",
            _ => "nothing",
        };
        assert_eq!(found, kind, "{field}: {value}");
    }
    let text = Run::ok(&mut place.command("doctor")).stdout;
    for part in ["libtorch", "cpu", "cuda linked", "cuda visible", "threads"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn inspect_says_what_weights_are() {
    let place = Workplace::new();
    let text = Run::ok(&mut place.command("inspect tiny")).stdout;
    for part in ["sha256", "3 blocks × 32 wide, 2 heads", "8×8×1", "T = 1000", "Ankle boot", "full, stairs"]
    {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let facts = Run::ok(&mut place.command("inspect weights/tiny --json")).json_lines().remove(0);
    assert_eq!(facts["config"]["depth"], DEPTH);
    assert_eq!(facts["config"]["labels"], json!(LABELS));
    assert_eq!(facts["schedules"], json!(["full", "stairs"]));
    assert_eq!((&facts["tensors"], &facts["dtypes"]), (&json!(42), &json!("F32")));
    assert!(text.contains(facts["sha256"].as_str().unwrap()));
}

#[test]
fn inspect_draws_a_schedule() {
    let place = Workplace::new();
    let text = Run::ok(&mut place.command("inspect schedules/tiny/stairs.json")).stdout;
    let widths: Vec<usize> = (1..=DEPTH)
        .map(|level| {
            let line = text.lines().find(|l| l.trim_start().starts_with(&format!("{level} ┤"))).unwrap();
            line.chars().filter(|c| *c == '█').count()
        })
        .collect();
    // 60 columns over 1000 timesteps: depth 1 everywhere, 2 below t = 600.5, 3 below 300.
    assert_eq!(widths, [60, 36, 18], "{text}");
    let mean = (300.0 * 3.0 + 300.5 * 2.0 + 399.5) / 1000.0;
    assert!(
        text.contains(&format!("mean depth {mean:.2} of 3")) && text.contains("exits not yet trained"),
        "{text}"
    );
    let facts =
        Run::ok(&mut place.command("inspect schedules/tiny/stairs.json --json")).json_lines().remove(0);
    assert_eq!(facts["schedule"]["segments"][1], json!({ "from": 300.0, "to": 600.5, "depth": 2 }));
    assert!((facts["mean_depth"].as_f64().unwrap() - mean).abs() < 1e-12);
}

#[test]
fn the_bundled_weights_and_schedules_are_found_and_fit() {
    let place = Workplace::new();
    let root = env!("CARGO_MANIFEST_DIR");
    let names = offramp::exit::schedule_names(&std::path::Path::new(root).join("schedules/fashion-dit"));
    assert!(names.len() >= 2, "{names:?}");
    for name in names {
        let words =
            format!("generate --weights {root}/weights/fashion-dit --class sneaker --steps 2 --overwrite");
        Run::ok(place.command(&words).args(["--schedule", &name]));
        assert_eq!(tiny_model::pixels(&place.path("out/000000.png")).0, (28, 28));
    }
}
