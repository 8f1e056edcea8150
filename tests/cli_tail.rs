//! `--tail` and `--exit change:…` at the command line: drawn, recorded, redrawn, resumed, refused.

mod tiny_model;

use serde_json::Value;
use tiny_model::{DEPTH, Run, Workplace, pixels};

fn parameters(place: &Workplace, image: &str) -> Value {
    Run::ok(&mut place.command(&format!("inspect {image} --json"))).json_lines()[0]["parameters"].clone()
}

#[test]
fn a_first_block_cache_draws_and_says_so() {
    let place = Workplace::new();
    let run = Run::ok(&mut place.generate("--exit change:inf --tail residual --json --trace trace.json"));
    let lines = run.json_lines();
    for image in &lines[..lines.len() - 1] {
        assert_eq!(image["depths"], serde_json::json!([DEPTH, 1, 1, 1]));
    }
    // One residual of 4 tokens, 32 wide, in f32.
    assert_eq!(lines.last().unwrap()["tail_bytes"], 4 * 32 * 4);
    let trace: Value = serde_json::from_slice(&std::fs::read(place.path("trace.json")).unwrap()).unwrap();
    assert_eq!((&trace["tail"], &trace["exit"]), (&"residual".into(), &"change:inf".into()));
    // The first change is infinite, which JSON cannot say.
    let changes = trace["images"][0]["uncertainties"].as_array().unwrap();
    assert!(changes[0].is_null() && changes[1..].iter().all(Value::is_number), "{changes:?}");

    let found = parameters(&place, "out/000001.png");
    assert_eq!((&found["tail"], &found["exit"]), (&"residual".into(), &"change:inf".into()));
    assert_eq!(found["bounds"], serde_json::json!([[1, DEPTH], [1, DEPTH], [1, DEPTH], [1, DEPTH]]));
    let text = Run::ok(&mut place.command("inspect out/000001.png")).stdout;
    assert!(text.contains("exit       change:inf, tail residual"), "{text}");
    let command = text.lines().last().unwrap().trim().strip_prefix("offramp ").unwrap();
    Run::ok(&mut place.command(command));
    assert_eq!(pixels(&place.path("redrawn/000000.png")), pixels(&place.path("out/000001.png")));

    let text = Run::ok(&mut place.generate("--exit change:0.1 --tail residual --overwrite")).stdout;
    assert!(text.contains("tail residual kept 0.5 KiB an image"), "{text}");
    let text = Run::ok(&mut place.generate("--overwrite")).stdout;
    assert!(!text.contains("tail"), "{text}");
    assert!(!Run::ok(&mut place.command("inspect out/000001.png")).stdout.contains("--tail"));
}

#[test]
fn the_tail_is_a_setting_that_a_resumed_run_must_share() {
    let place = Workplace::new();
    let options = "--exit change:0.5,cap=3 --count 3";
    Run::ok(&mut place.generate(&format!("{options} --tail residual")));
    std::fs::remove_file(place.path("out/000001.png")).unwrap();
    place
        .refuses(place.generate(&format!("{options} --resume")), &["000000.png", "tail", "residual", "head"]);
    Run::ok(&mut place.generate(&format!("{options} --tail residual --resume")));
    assert_eq!(place.names("out").iter().filter(|n| n.ends_with(".png")).count(), 3);
}

#[test]
fn an_image_that_names_no_tail_was_made_with_the_head() {
    let place = Workplace::new();
    Run::ok(&mut place.generate("--count 1"));
    let mut older = parameters(&place, "out/000000.png");
    assert_eq!(older.as_object_mut().unwrap().remove("tail").unwrap(), "head");
    let read: offramp::output::RunParameters = serde_json::from_value(older).unwrap();
    assert_eq!(read.tail, "head");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let place = Workplace::new();
    for (words, mentions) in [
        ("--tail residue", &["\"residue\"", "head, heads, residual and forecast:ORDER"][..]),
        ("--exit change", &["\"change\"", "change:THRESHOLD"]),
        ("--exit change:", &["change:", "threshold \"\"", "from 0"]),
        ("--exit change:much", &["threshold \"much\"", "from 0"]),
        ("--exit change:-0.1", &["threshold \"-0.1\"", "from 0"]),
        ("--exit change:NaN", &["threshold \"NaN\"", "from 0"]),
        ("--exit change:0.1,after=0", &["after=\"0\"", "from 1"]),
        ("--exit change:0.1,after=1.5", &["after=\"1.5\"", "from 1"]),
        ("--exit change:0.1,cap=-1", &["cap=\"-1\"", "from 1"]),
        ("--exit change:0.1,after", &["\"after\"", "after=BLOCKS"]),
        ("--exit change:0.1,before=2", &["\"before=2\"", "after=BLOCKS and min=DEPTH"]),
        ("--exit change:0.1,cap=2,cap=3", &["cap is given twice"]),
        ("--exit change:0.1,after=3", &["change:0.1,after=3", "after block 3", "[1, 2]"]),
    ] {
        place.refuses(place.generate(words), mentions);
    }
}
