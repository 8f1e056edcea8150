//! Exit schedules that must be refused, and exits that are none.

use serde_json::{Value, json};

use tiny_model::{Workplace, schedule};

mod tiny_model;

/// A good schedule, changed.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut value = schedule("mine", &[(0.0, 500.0, 3), (500.0, 1000.0, 2)]);
    change(&mut value);
    value.to_string()
}

fn segments(segments: &[(f64, f64, usize)]) -> String {
    schedule("mine", segments).to_string()
}

#[test]
fn a_schedule_that_does_not_cover_time_exactly_once_is_refused() {
    let place = Workplace::new();
    for (text, mentions) in [
        (segments(&[(0.0, 400.0, 3), (500.0, 1000.0, 2)]), &["gap", "[400, 500)"][..]),
        (segments(&[(10.0, 1000.0, 3)]), &["gap", "[0, 10)"]),
        (segments(&[(0.0, 999.0, 3)]), &["gap", "[999, 1000)"]),
        (segments(&[(0.0, 600.0, 3), (500.0, 1000.0, 2)]), &["overlap", "[500, 600)"]),
        (segments(&[(0.0, 1001.0, 3)]), &["overlap", "[1000, 1001)"]),
        (segments(&[(-5.0, 1000.0, 3)]), &["overlap", "[-5, 0)"]),
        (segments(&[(500.0, 1000.0, 3), (0.0, 500.0, 3)]), &["gap", "[0, 500)"]),
        (
            segments(&[(0.0, 500.0, 3), (500.0, 500.0, 3), (500.0, 1000.0, 3)]),
            &["[500, 500)", "not an interval"],
        ),
        (segments(&[(500.0, 0.0, 3)]), &["[500, 0)", "not an interval"]),
        (segments(&[]), &["no segments", "[0, 1000)"]),
    ] {
        place.write("schedules/tiny/mine.json", &text);
        let mentions = [&["schedule mine"], mentions].concat();
        place.refuses(place.generate("--schedule mine"), &mentions);
    }
}

#[test]
fn a_schedule_with_an_impossible_depth_is_refused() {
    let place = Workplace::new();
    for (text, mentions) in [
        (segments(&[(0.0, 1000.0, 0)]), &["depth 0", "[0, 1000)", "1 to 3"][..]),
        (segments(&[(0.0, 500.0, 4), (500.0, 1000.0, 1)]), &["depth 4", "[0, 500)", "1 to 3"]),
        (changed(|s| s["segments"][0]["depth"] = json!(-1)), &["-1"]),
        (changed(|s| s["segments"][0]["depth"] = json!(1.5)), &["1.5"]),
        (changed(|s| s["depth"] = json!(0)), &["depth = 0"]),
        (changed(|s| s["depth"] = json!(1_000_000_000_000_u64)), &["depth = 1000000000000"]),
        (changed(|s| s["depth"] = json!(12)), &["mine is for a model with depth = 12, and this one has 3"]),
        (changed(|s| s["timesteps"] = json!(2000)), &["gap", "[1000, 2000)"]),
    ] {
        place.write("schedules/tiny/mine.json", &text);
        place.refuses(place.generate("--schedule mine"), mentions);
    }
    let mut other = schedule("mine", &[(0.0, 50.0, 3)]);
    other["timesteps"] = json!(50);
    place.write("schedules/tiny/mine.json", other.to_string());
    let mention = "mine is for a model with timesteps = 50, and this one has 1000";
    place.refuses(place.generate("--schedule mine"), &[mention]);
    // Whoever only wants to look at one is not shown a trillion lines.
    place.write("huge.json", changed(|s| s["depth"] = json!(1_000_000_000_000_u64)));
    place.refuses(place.command("inspect huge.json"), &["depth = 1000000000000"]);
}

#[test]
fn a_schedule_that_is_no_json_of_its_kind_is_refused_with_file_and_place() {
    let place = Workplace::new();
    let good = segments(&[(0.0, 1000.0, 3)]);
    for (text, mention) in [
        (good.replace("1000.0", "NaN"), "line 1 column"),
        (good.replace("1000.0", "Infinity"), "line 1 column"),
        (good.replace("1000.0", "1e999"), "number out of range"),
        (good.replace("1000.0", "null"), "invalid type: null"),
        (changed(|s| s["colour"] = json!(1)), "unknown field `colour`"),
        (changed(|s| s["segments"][0]["deep"] = json!(1)), "unknown field `deep`"),
        (changed(|s| s["provenance"]["why"] = json!(1)), "unknown field `why`"),
        (changed(|s| _ = s.as_object_mut().unwrap().remove("provenance")), "missing field `provenance`"),
        (changed(|s| s["segments"] = json!(3)), "invalid type"),
        (String::new(), "EOF"),
    ] {
        place.write("schedules/tiny/mine.json", &text);
        place.refuses(place.generate("--schedule mine"), &["mine.json", mention]);
    }
    place.write("schedules/tiny/mine.json", changed(|s| s["version"] = json!(2)));
    place.refuses(place.generate("--schedule mine"), &["schedule mine", "version 2", "version 1"]);
}

#[test]
fn a_schedule_that_is_not_there_is_refused_with_those_that_are() {
    let place = Workplace::new();
    place.refuses(place.generate("--schedule stars"), &["\"stars\"", "full", "stairs"]);
    place.refuses(place.generate("--exit schedule:stars"), &["\"stars\"", "full", "stairs"]);
    place.refuses(place.generate("--schedule nosuch.json"), &["nosuch.json", "No such file"]);
    place.refuses(place.generate("--schedule weights/tiny"), &["weights/tiny", "directory"]);
}

#[test]
fn an_exit_that_is_none_is_refused() {
    let place = Workplace::new();
    for exit in ["fall", "Full", "fixed", "schedule:", "schedule", ":", "full:3"] {
        place.refuses(place.generate(&format!("--exit {exit}")), &[exit, "full", "fixed:DEPTH", "schedule:"]);
    }
    for depth in ["0", "-1", "two", "1.5", "99999999999999999999", ""] {
        place.refuses(
            place.generate(&format!("--exit fixed:{depth}")),
            &[&format!("fixed:{depth}"), "from 1"],
        );
    }
    for depth in ["4", "99"] {
        place.refuses(place.generate(&format!("--exit fixed:{depth}")), &[depth, "3 blocks"]);
    }
}
