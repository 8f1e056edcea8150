//! A report of made-up figures, in the shapes that a run leaves: for layout, never for reading.

pub mod page;

use std::fs;
use std::path::Path;

use offramp::bench::Report;

/// Rows of every role, one of them failed, and the facts of a run.
#[allow(dead_code)]
pub fn report() -> Report {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folder = tempfile::tempdir().unwrap();
    for (fixture, name) in
        [("report_layout_made_up_run.json", "run.json"), ("report_layout_made_up_rows.jsonl", "rows.jsonl")]
    {
        fs::copy(fixtures.join(fixture), folder.path().join(name)).unwrap();
    }
    Report::read(folder.path()).unwrap()
}
