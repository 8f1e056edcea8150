//! One row of the table that `make speed` prints.
//!
//! A bench prints its rows as it goes and leaves them in a file, so that the table can be put together from
//! several processes.

use std::ops::{Bound, RangeBounds};
use std::path::Path;

use super::spread::Spread;

/// The rows of one bench.
pub struct Rows {
    bench: &'static str,
    lines: String,
}

impl Rows {
    pub fn of(bench: &'static str) -> Self {
        println!("\n{bench}, load average {}", load_average());
        Self { bench, lines: String::new() }
    }

    /// Adds a row and prints it; the median ought to lie in `bound`, and `..` is for information.
    pub fn add(&mut self, what: &str, unit: &str, spread: &Spread, bound: impl RangeBounds<f64>) {
        let verdict = if bound.contains(&spread.median) { "holds" } else { "missed" };
        let (bound, verdict) = match (bound.start_bound(), bound.end_bound()) {
            (Bound::Included(least), _) => (format!("≥ {least}"), verdict),
            (_, Bound::Included(most)) => (format!("≤ {most}"), verdict),
            _ => (String::new(), ""),
        };
        let line = format!("| {what} | {spread}{unit} | {bound} | {verdict} |\n");
        print!("{line}");
        self.lines += &line;
    }

    /// Leaves the rows in `folder` for the table.
    pub fn save(self, folder: &str) -> std::io::Result<()> {
        let folder = Path::new(folder).join("speed");
        std::fs::create_dir_all(&folder)?;
        println!("load average afterwards {}", load_average());
        std::fs::write(folder.join(self.bench).with_extension("md"), self.lines)
    }
}

/// Over 1, 5 and 15 minutes; other work on the machine shows here.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
