//! The benchmark's report: whole, well-formed, without a reference to anywhere, whatever the rows hold.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use offramp::bench::{ExitErrors, PeerFacts, PeerTrial, Report, ReportError, Role, Row, Settings};
use proptest::prelude::*;

mod made_up_report;

use made_up_report::page::{parsed, texts, with_class};

/// No attribute or style that makes a browser ask for something.
fn assert_self_contained(html: &str) {
    for word in
        ["http:", "https:", "//", "url(", "@import", "<script", "<link", "<img", "<iframe", "src=", "href="]
    {
        assert!(!html.contains(word), "{word} in the report");
    }
}

#[test]
fn five_files_are_written_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    made_up_report::report().write(folder.path()).unwrap();
    let names: BTreeSet<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        names,
        BTreeSet::from(
            ["front.svg", "report.html", "results.csv", "results.md", "summary.md"].map(String::from)
        )
    );
    // Kept for a person to look at.
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&kept).unwrap();
    made_up_report::report().write(&kept).unwrap();

    let error = made_up_report::report().write(&folder.path().join("nowhere")).unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn the_page_is_well_formed_self_contained_and_shows_every_row() {
    let report = made_up_report::report();
    let html = report.html();
    assert_self_contained(&html);
    let document = parsed(&html);
    for element in ["h1", "h2", "svg", "table", "title"] {
        assert!(!texts(&document, element).is_empty(), "no {element}");
    }
    let results = with_class(&document, "results")[0];
    let lines = results.descendants().filter(|n| n.has_tag_name("tr")).count();
    // The head and the floor beside the rows.
    assert_eq!(lines, report.rows.len() + 2);
    // Every plot says what it shows.
    let plots: Vec<_> = document.descendants().filter(|n| n.attribute("role") == Some("img")).collect();
    assert!(plots.len() >= 6);
    assert!(plots.iter().all(|p| p.attribute("aria-label").is_some_and(|label| !label.is_empty())));
    // Every row that was measured is a mark with a title in the first plot.
    let measured = report.rows.iter().filter(|row| row.error.is_none()).count();
    let first = with_class(&document, "plot")[0];
    let titled = first.descendants().filter(|n| n.has_tag_name("title")).count();
    assert_eq!(titled, measured);
}

#[test]
fn labels_of_the_plots_lie_apart() {
    let report = made_up_report::report();
    let html = report.html();
    let document = parsed(&html);
    let measured = report.rows.iter().filter(|row| row.error.is_none()).count();
    let front = with_class(&document, "plot")[0];
    let labels = front
        .descendants()
        .filter(|n| n.attribute("class").is_some_and(|c| c.starts_with("label ")))
        .map(|n| {
            let at = |name| n.attribute(name).unwrap().parse::<f64>().unwrap();
            (at("x"), at("y"), n.text().unwrap().to_owned())
        })
        .collect::<Vec<_>>();
    assert_eq!(labels.len(), measured, "a row has no label");
    for (k, a) in labels.iter().enumerate() {
        for b in &labels[k + 1..] {
            // Narrower than any font draws them: what overlaps here overlaps anywhere.
            let half = 2.5 * (a.2.chars().count() + b.2.chars().count()) as f64;
            assert!((a.1 - b.1).abs() >= 12.0 || (a.0 - b.0).abs() >= half, "{a:?} upon {b:?}");
        }
    }
}

#[test]
fn failures_and_baselines_left_out_are_told_with_their_reasons() {
    let report = made_up_report::report();
    let failed = report.rows.iter().find(|row| row.error.is_some()).unwrap();
    let error = failed.error.as_ref().unwrap();
    let html = report.html();
    let text = texts(&parsed(&html), "html").concat();
    let folder = tempfile::tempdir().unwrap();
    report.write(folder.path()).unwrap();
    let markdown = fs::read_to_string(folder.path().join("results.md")).unwrap();
    assert!(text.contains(error.as_str()));
    assert!(markdown.contains("failed: ModuleNotFoundError"));
    for (baseline, reason) in &report.left_out {
        for told in [&text, &markdown] {
            assert!(told.contains(baseline.as_str()) && told.contains(reason.as_str()));
        }
    }
    let mut reader = csv::Reader::from_path(folder.path().join("results.csv")).unwrap();
    let heads = reader.headers().unwrap().clone();
    let column = heads.iter().position(|head| head == "error").unwrap();
    let errors: Vec<String> = reader.records().map(|record| record.unwrap()[column].to_owned()).collect();
    assert_eq!(errors.len(), report.rows.len());
    assert!(errors.contains(error));
}

#[test]
fn numbers_reach_the_csv_unrounded() {
    let report = made_up_report::report();
    let folder = tempfile::tempdir().unwrap();
    report.write(folder.path()).unwrap();
    let mut reader = csv::Reader::from_path(folder.path().join("results.csv")).unwrap();
    let heads = reader.headers().unwrap().clone();
    let at = |name: &str| heads.iter().position(|head| head == name).unwrap_or_else(|| panic!("no {name}"));
    for (record, row) in reader.records().zip(&report.rows) {
        let record = record.unwrap();
        let number = |name: &str| record[at(name)].parse::<f64>().ok();
        let quality = row.quality.first();
        assert_eq!(
            number("images_per_second_median"),
            row.speed.as_ref().map(|s| s.images_per_second.median)
        );
        assert_eq!(number("mean_depth"), row.depth.as_ref().map(|d| d.mean));
        assert_eq!(number("fashion-features:frechet"), quality.map(|q| q.frechet));
        assert_eq!(number("fashion-features:kid_standard_error"), quality.map(|q| q.kid.standard_error));
        assert_eq!(record[at("role")].starts_with("peer: "), matches!(row.role, Role::Peer { .. }));
    }
}

#[test]
fn the_markdown_is_one_table_of_equal_lines() {
    let report = made_up_report::report();
    let folder = tempfile::tempdir().unwrap();
    report.write(folder.path()).unwrap();
    let markdown = fs::read_to_string(folder.path().join("results.md")).unwrap();
    let table: Vec<&str> = markdown.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(table.len(), report.rows.len() + 3);
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(table.iter().all(|line| cells(line) == cells(table[0])));
    for told in ["N 500", "labels balanced", "seeds from 7", "fashion-features", "threads 2", "Xeon"] {
        assert!(markdown.contains(told), "no {told}");
    }
}

#[test]
fn a_second_extractor_has_columns_and_a_plot_of_its_own() {
    let mut report = made_up_report::report();
    for row in &mut report.rows {
        if let Some(mut quality) = row.quality.first().cloned() {
            quality.extractor = "inception-2015".into();
            row.quality.push(quality);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    report.write(folder.path()).unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("results.csv").lines().next().unwrap().contains("inception-2015:frechet_floor"));
    let markdown = read("results.md");
    let head = markdown.lines().next().unwrap();
    // Only these features make the Fréchet distance FID.
    assert!(head.contains("FID (less full depth's) (inception-2015)"), "{head}");
    assert!(head.contains("FD (less full depth's) (fashion-features)"), "{head}");
    let html = read("report.html");
    let count = |html: &str| with_class(&parsed(html), "plot").len();
    assert_eq!(count(&html), count(&made_up_report::report().html()) + 2);
}

#[test]
fn the_front_is_a_drawing_of_its_own() {
    let report = made_up_report::report();
    let svg = report.front_svg().unwrap();
    let document = parsed(&svg);
    assert_self_contained(&svg.replace("http://www.w3.org/2000/svg", ""));
    let style = texts(&document, "style").concat();
    assert!(style.contains("prefers-color-scheme: dark") && style.contains("--paper"));
    // What the page's plot shows, this shows.
    let html = report.html();
    let page = parsed(&html);
    let marks = |node: roxmltree::Node| {
        node.descendants().filter(|n| n.has_tag_name("title")).map(|n| n.text().unwrap().to_owned()).collect()
    };
    let drawn: Vec<String> = document
        .descendants()
        .filter(|n| n.tag_name().name() == "title")
        .map(|n| n.text().unwrap().to_owned())
        .collect();
    let shown: Vec<String> = marks(with_class(&page, "plot")[0]);
    assert!(!drawn.is_empty() && drawn == shown);
    assert!(Report { rows: vec![bare_row(Role::Full)], ..Report::default() }.front_svg().is_none());
}

#[test]
fn how_a_peer_ran_is_told_and_so_is_a_floor_of_fewer_images() {
    let mut report = made_up_report::report();
    let peer = report.rows.iter().position(|row| matches!(row.role, Role::Peer { .. })).unwrap();
    let trial = |arrangement: &str, evaluations_per_second| PeerTrial {
        arrangement: arrangement.into(),
        evaluations_per_second,
    };
    report.rows[peer].peer = Some(PeerFacts {
        versions: "torch 9.9".into(),
        trials: vec![trial("2 processes × 1 thread", 40.0), trial("1 process × 2 threads", 30.0)],
        compile_seconds: 41.2,
        forward_difference: 2.5e-6,
        image_difference: 4e-4,
        taken_depth: Some(7.25),
        images: 125,
    });
    for quality in report.rows.iter_mut().flat_map(|row| &mut row.quality) {
        quality.n_floor = quality.n - 100;
    }
    let folder = tempfile::tempdir().unwrap();
    report.write(folder.path()).unwrap();
    for file in ["results.md", "report.html"] {
        let text = fs::read_to_string(folder.path().join(file)).unwrap();
        for told in [
            "2 processes × 1 thread (1 process × 2 threads: 0.75× as fast)",
            "compiled in 41 s",
            "after 7.25 blocks",
            "2.5e−6",
            "0.00040",
            "drew 125 of 500 images",
            "torch 9.9",
            "floor: 400 real images against 10,000 (there are no more; 500 were drawn)",
        ] {
            assert!(text.contains(told), "no {told:?} in {file}");
        }
    }
    let mut reader = csv::Reader::from_path(folder.path().join("results.csv")).unwrap();
    let column = reader.headers().unwrap().iter().position(|head| head == "peer_images").unwrap();
    let images: Vec<String> = reader.records().map(|record| record.unwrap()[column].to_owned()).collect();
    assert_eq!((&*images[peer], images.iter().filter(|cell| !cell.is_empty()).count()), ("125", 1));
}

/// Characters that end an attribute, a tag, a cell or a line.
const EVIL: &str = "</style><script>alert('1')</script>\" onload=\"x\" & | `a` \n\t]]> <!-- é 図";

#[test]
fn special_characters_are_escaped_everywhere() {
    let mut report = made_up_report::report();
    report.plan = EVIL.into();
    report.machine.cpu = EVIL.into();
    report.machine.command = "offramp bench `plan` & more".into();
    report.left_out = vec![(EVIL.into(), EVIL.into())];
    report.exit_errors[0].weights = EVIL.into();
    for row in &mut report.rows {
        row.settings.exit = EVIL.into();
        row.settings.weights = EVIL.into();
        row.settings.solver = EVIL.into();
        if let Role::Peer { name } = &mut row.role {
            *name = format!("{EVIL}{name}");
        }
        if let Some(error) = &mut row.error {
            *error = EVIL.into();
        }
        for quality in &mut row.quality {
            quality.extractor = EVIL.into();
        }
    }
    let html = report.html();
    let document = parsed(&html);
    assert!(!document.descendants().any(|n| n.has_tag_name("script")));
    assert!(!document.descendants().any(|n| n.attributes().any(|a| a.name() == "onload")));
    let folder = tempfile::tempdir().unwrap();
    report.write(folder.path()).unwrap();
    let markdown = fs::read_to_string(folder.path().join("results.md")).unwrap();
    assert!(!markdown.contains("<script"));
    assert_eq!(markdown.lines().take_while(|line| line.starts_with('|')).count(), report.rows.len() + 3);
}

fn bare_row(role: Role) -> Row {
    let settings: Settings = made_up_report::report().rows[0].settings.clone();
    Row {
        id: "bare".into(),
        role,
        settings,
        error: None,
        speed: None,
        depth: None,
        by_time: vec![],
        quality: vec![],
        fidelity: None,
        peer: None,
    }
}

#[test]
fn a_report_of_nothing_and_of_a_single_row_is_a_report() {
    let whole = made_up_report::report();
    for rows in
        [vec![], vec![bare_row(Role::Full)], vec![whole.rows[0].clone()], vec![whole.rows[16].clone()]]
    {
        let report = Report { rows, ..Report::default() };
        let html = report.html();
        parsed(&html);
        assert_self_contained(&html);
        report.write(tempfile::tempdir().unwrap().path()).unwrap();
    }
}

#[test]
fn what_is_not_finite_is_said_so_and_not_drawn() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut report = made_up_report::report();
        for (k, row) in report.rows.iter_mut().enumerate() {
            if let (Some(speed), 0) = (&mut row.speed, k % 3) {
                speed.images_per_second.least = bad;
                speed.r.iter_mut().for_each(|r| r.median = bad);
            }
            for quality in row.quality.iter_mut().filter(|_| k % 3 == 1) {
                quality.frechet = bad;
                quality.kid.standard_error = bad;
                quality.frechet_floor = bad;
            }
            row.by_time.iter_mut().step_by(2).for_each(|at| at.deviation = bad);
        }
        report.exit_errors.push(ExitErrors {
            blocks: 3,
            t: vec![bad, 1.0],
            error: vec![vec![bad; 3], vec![1.0, 0.0]],
            ..ExitErrors::default()
        });
        let html = report.html();
        let document = parsed(&html);
        assert!(html.contains("not finite"));
        for node in document.descendants() {
            for attribute in node.attributes() {
                let value = attribute.value().to_ascii_lowercase();
                assert!(!value.contains("nan") && !value.contains("inf"), "{value}");
            }
        }
    }
}

#[test]
fn a_run_is_read_from_its_folder_alone() {
    let report = made_up_report::report();
    let folder = tempfile::tempdir().unwrap();
    report.write_run(folder.path()).unwrap();
    // Before the first row is finished there is no ledger.
    assert!(Report::read(folder.path()).unwrap().rows.is_empty());

    let mut lines: String =
        report.rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect();
    let mut replaced = report.rows[1].clone();
    replaced.error = Some("tried again".into());
    lines += &(serde_json::to_string(&replaced).unwrap() + "\n{\"id\":\"half a li");
    fs::write(folder.path().join("rows.jsonl"), &lines).unwrap();
    let read = Report::read(folder.path()).unwrap();
    assert_eq!(read.rows[1], replaced);
    assert_eq!(read.rows.len(), report.rows.len());
    assert_eq!(Report { rows: vec![], ..read }, Report { rows: vec![], ..report });

    fs::write(folder.path().join("rows.jsonl"), "{\"id\":3}\n").unwrap();
    let error = Report::read(folder.path()).unwrap_err();
    assert!(matches!(error, ReportError::Row { line: 1, .. }) && error.is_bad_input(), "{error}");
    fs::write(folder.path().join("run.json"), "{").unwrap();
    assert!(matches!(Report::read(folder.path()), Err(ReportError::Run { .. })));
    assert!(Report::read(&folder.path().join("nowhere")).unwrap_err().is_bad_input());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_measured_numbers_make_a_page(
        numbers in prop::collection::vec((1e-6..1e6f64, -1e3..1e6f64, 0.0..100.0f64), 1..40)
    ) {
        let whole = made_up_report::report();
        let rows = numbers.iter().enumerate().map(|(k, &(speed, frechet, kid))| {
            let mut row = whole.rows[k % 15].clone();
            row.id = k.to_string();
            let s = row.speed.as_mut().unwrap();
            (s.images_per_second.least, s.images_per_second.median, s.images_per_second.most) = (0.9 * speed, speed, 1.2 * speed);
            row.quality[0].frechet = frechet;
            row.quality[0].kid.value = kid;
            row
        });
        let report = Report { rows: rows.collect(), ..whole };
        let html = report.html();
        let document = parsed(&html);
        for node in document.descendants() {
            for attribute in node.attributes() {
                prop_assert!(!attribute.value().contains("NaN") && !attribute.value().contains("inf"));
            }
        }
    }
}
