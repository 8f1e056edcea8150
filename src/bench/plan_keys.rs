//! Unknown keys of a plan, found before anything else so that the message can say which key was meant.

use toml::{Table, Value};

use super::plan::BASELINES;
use super::plan_error::PlanError;

const PLAN: &[&str] = &[
    "name",
    "weights",
    "solver",
    "steps",
    "exit",
    "tail",
    "guidance",
    "batch",
    "dtype",
    "threads",
    "n",
    "seed",
    "labels",
    "rounds",
    "reference",
    "floor",
    "extractors",
    "error-images",
    "baselines",
    "left-out",
    "peers",
    "point",
    "score",
];
const TABLES: &[(&str, &[&str])] = &[
    ("baselines", &["fewer-steps", "fixed", "schedule", "first-block-cache"]),
    ("peers", &["names", "python", "rounds"]),
    ("point", &["weights", "solver", "steps", "exit", "tail", "guidance", "batch", "dtype"]),
    ("score", &["reference"]),
];

/// Refuses a key that no plan has.
pub fn check(plan: &Table) -> Result<(), PlanError> {
    keys("", plan, PLAN)?;
    for (name, known) in TABLES {
        match plan.get(*name) {
            Some(Value::Table(table)) => keys(&format!("{name}."), table, known)?,
            Some(Value::Array(tables)) => {
                for table in tables.iter().filter_map(Value::as_table) {
                    keys(&format!("{name}."), table, known)?;
                }
            }
            _ => {}
        }
    }
    if let Some(Value::Table(table)) = plan.get("left-out") {
        keys("left-out.", table, &BASELINES)?;
    }
    Ok(())
}

fn keys(prefix: &str, table: &Table, known: &[&str]) -> Result<(), PlanError> {
    let Some(key) = table.keys().find(|k| !known.contains(&k.as_str())) else { return Ok(()) };
    let likeness = |k: &&str| strsim::jaro_winkler(k, key);
    let nearest = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    Err(PlanError::UnknownKey {
        key: format!("{prefix}{key}"),
        nearest: nearest.filter(|k| likeness(k) > 0.75).map(str::to_owned),
        known: known.iter().map(|k| (*k).to_owned()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plan;
    use super::*;

    /// The lists above and the structs of a plan say the same.
    #[test]
    fn every_known_key_is_a_key_of_the_plan() {
        let full = r#"
            name = "a"
            weights = ["a"]
            solver = ["ddim"]
            steps = [4]
            exit = ["full"]
            tail = ["head"]
            guidance = [1.0]
            batch = [2]
            dtype = ["f32"]
            threads = 1
            n = 8
            seed = 1
            labels = "balanced"
            rounds = 2
            reference = "a"
            floor = "b"
            extractors = ["pixels"]
            error-images = 0
            baselines = { fewer-steps = [2], fixed = [1], first-block-cache = [0.1] }
            left-out = { schedule = "none" }
            peers = { names = ["plain-eager"], python = "python3", rounds = 1 }
            score = { reference = "fewer-steps" }
            [[point]]
            weights = "a"
            solver = "ddim"
            steps = 4
            exit = "full"
            tail = "head"
            guidance = 1.0
            batch = 2
            dtype = "f32"
        "#;
        let table: Table = full.parse().unwrap();
        Plan::parse(full).unwrap();
        assert!(PLAN.iter().all(|k| table.contains_key(*k)));
        let point = table["point"].as_array().unwrap()[0].as_table().unwrap();
        assert!(TABLES[2].1.iter().all(|k| point.contains_key(*k)));
    }
}
