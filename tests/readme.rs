//! What README quotes is what the benchmark wrote.

#![cfg(feature = "bench")]

use std::path::Path;

use offramp::bench::Report;

fn read(file: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// The text between a comment `<!-- NAME: … -->` and its end.
fn quoted<'t>(text: &'t str, name: &str) -> &'t str {
    let (_, rest) = text.split_once(&format!("<!-- {name}: ")).expect("the block begins");
    let (_, rest) = rest.split_once("-->\n").expect("its comment ends");
    rest.split_once(&format!("<!-- /{name} -->")).expect("the block ends").0
}

#[test]
fn the_table_is_the_summary_of_the_rows_that_are_kept() {
    let report = Report::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bench")).unwrap();
    assert!(report.rows.len() > 10, "a plan of {} rows", report.rows.len());
    let summary = report.summary();
    assert_eq!(quoted(&read("README.md"), "bench"), summary, "`make publish-bench` puts a new run there");
    assert_eq!(read("docs/bench/summary.md"), summary);
}

#[test]
fn the_rows_are_of_the_weights_that_are_shipped() {
    let report = Report::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bench")).unwrap();
    for row in &report.rows {
        let card = read(&format!("weights/{}/README.md", row.settings.weights));
        assert!(card.contains(&row.settings.weights_sha256), "{} is of other weights", row.id);
    }
}
