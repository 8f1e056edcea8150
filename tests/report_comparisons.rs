//! What the benchmark's report says of its rows beside each other: names that tell them apart, what is compared, who
//! loses to whom.

mod made_up_report;

use std::collections::BTreeSet;

use made_up_report::page::{parsed, texts, with_class};

#[test]
fn names_are_told_apart_by_what_differs() {
    let mut report = made_up_report::report();
    let mut again = report.rows[12].clone();
    again.id = "another".into();
    again.settings.steps = 8;
    report.rows.push(again);
    let html = report.html();
    let document = parsed(&html);
    let results = with_class(&document, "results")[0];
    let names: Vec<String> = results
        .descendants()
        .filter(|n| n.attribute("class") == Some("name"))
        .map(|n| {
            n.children()
                .filter_map(|c| c.text().filter(|_| c.is_text()))
                .collect::<String>()
                .trim()
                .to_owned()
        })
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(names.len(), report.rows.len());
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    assert!(names.iter().any(|name| name.ends_with(", 8 steps")), "{names:?}");
}

#[test]
fn fréchet_distances_of_unequal_n_are_not_compared() {
    let mut report = made_up_report::report();
    // So many that the Fréchet distance leads.
    for quality in report.rows.iter_mut().flat_map(|row| &mut row.quality) {
        quality.n = 5000;
    }
    report.rows[12].quality[0].n = 4000;
    let html = report.html();
    let document = parsed(&html);
    let lede = texts(&document, "p").concat();
    assert!(lede.contains("Judged on another N, and so not compared here: uncertainty:0.05."), "{lede}");
    let first = with_class(&document, "plot")[0];
    let label = |n: &roxmltree::Node| n.text() == Some("uncertainty:0.05");
    assert!(!first.descendants().any(|n| label(&n)));
}

#[test]
fn kernel_distances_of_unequal_n_are_compared_and_their_n_is_said() {
    let mut report = made_up_report::report();
    report.rows[12].quality[0].n = 400;
    let html = report.html();
    let document = parsed(&html);
    let lede = texts(&document, "p").concat();
    assert!(lede.contains("uncertainty:0.05 (N = 400)"), "{lede}");
    let plots = with_class(&document, "plot");
    let holds = |plot: &roxmltree::Node| plot.descendants().any(|n| n.text() == Some("uncertainty:0.05"));
    assert!(holds(&plots[0]), "KID leads, which is unbiased");
    let frechet = plots.iter().find(|p| p.attribute("aria-label").unwrap().contains("Fréchet")).unwrap();
    assert!(!holds(frechet));
}

#[test]
fn rows_that_lose_are_named_with_the_row_that_they_lose_to() {
    let mut report = made_up_report::report();
    // An exit that is as slow as full depth and worse than anything.
    let row = &mut report.rows[13];
    row.speed.as_mut().unwrap().images_per_second = report_speed(30.0);
    row.quality[0].kid.value = 0.2;
    let html = report.html();
    let document = parsed(&html);
    let line = document
        .descendants()
        .filter(|n| n.has_tag_name("tr"))
        .map(|n| n.descendants().filter_map(|c| c.text().filter(|_| c.is_text())).collect::<String>())
        .find(|line| line.starts_with("uncertainty:0.1 "))
        .expect("no line for the row that loses");
    assert!(line.contains("full depth") && line.contains("clear in both"), "{line}");
    assert!(texts(&document, "h1")[0].starts_with("2 of 4 early exits"));
}

fn report_speed(median: f64) -> offramp::bench::Spread {
    offramp::bench::Spread { median, least: median, most: median, rounds: 5 }
}
