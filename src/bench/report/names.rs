//! What a row is called: short, and unlike every other row's name.

use std::collections::HashMap;

use crate::bench::{Role, Row, Settings};

/// One name a row. Rows that would share one are told apart by the settings in which they differ.
pub fn names(rows: &[Row]) -> Vec<String> {
    let mut names: Vec<String> = rows.iter().map(base).collect();
    // From what a reader asks first to what hardly ever differs.
    let parts: [fn(&Settings) -> String; 10] = [
        |s| format!("{} steps", s.steps),
        |s| s.tail.clone(),
        |s| s.solver.clone(),
        |s| s.weights.clone(),
        |s| format!("guidance {}", s.guidance),
        |s| s.dtype.clone(),
        |s| format!("batch {}", s.batch),
        |s| format!("{} threads", s.threads),
        |s| format!("N {}", s.n),
        |s| format!("seed {}", s.seed),
    ];
    for part in parts {
        let mut same_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (k, name) in names.iter().enumerate() {
            same_name.entry(name.clone()).or_default().push(k);
        }
        for rows_of_name in same_name.into_values() {
            let values: Vec<String> = rows_of_name.iter().map(|&k| part(&rows[k].settings)).collect();
            if values.iter().all(|value| *value == values[0]) {
                continue;
            }
            for (&k, value) in rows_of_name.iter().zip(values) {
                names[k] = format!("{}, {value}", names[k]);
            }
        }
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    for name in &mut names {
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        if *times > 1 {
            *name = format!("{name} ({times})");
        }
    }
    names
}

fn base(row: &Row) -> String {
    let exit = &row.settings.exit;
    match &row.role {
        Role::Full => "full depth".into(),
        Role::FewerSteps => format!("{} steps", row.settings.steps),
        Role::Peer { name } => name.clone(),
        Role::FirstBlockCache => match exit.split_once(':') {
            Some((_, value)) => format!("cache {value}"),
            None => "cache".into(),
        },
        Role::TimeSchedule => exit.strip_prefix("schedule:").unwrap_or(exit).to_owned(),
        Role::FixedExit => exit.clone(),
        Role::Point => {
            let exit = exit.strip_prefix("schedule:").unwrap_or(exit);
            let tail = &row.settings.tail;
            if tail.is_empty() || tail == "head" { exit.to_owned() } else { format!("{exit} + {tail}") }
        }
    }
}
