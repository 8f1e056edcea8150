//! The table of results, the same in Markdown and HTML.

use super::Report;
use super::measure::{KID_SCALE, frechet_name};
use super::number::{count, decimals, fixed, signed_fixed, significant};
use crate::bench::family::Family;
use crate::bench::{Labels, Role, Row, Settings, Spread};

/// Text cells by line and column.
pub struct Table {
    pub columns: Vec<Column>,
    pub lines: Vec<Line>,
    /// The first columns, that say what a row is; of a floor they hold one text.
    pub settings: usize,
}

/// A column's head.
pub struct Column {
    pub head: String,
    /// Set right.
    pub numeric: bool,
}

/// One line of the table.
pub struct Line {
    pub kind: Kind,
    /// As many as there are columns; of a failed row those of its settings.
    pub cells: Vec<String>,
}

/// What a line shows.
pub enum Kind {
    Row,
    /// The row of full depth that the others refer to.
    Full,
    /// A row that nothing was measured of, and why.
    Failed(String),
    /// Real images against real images.
    Floor,
}

/// A column: its head, whether it is numeric, and its cell of a row.
type Maker<'a> = (String, bool, Box<dyn Fn(&Row) -> String + 'a>);

const NONE: &str = "–";

impl Table {
    /// Of all rows of a report, and of the floors.
    pub fn new(report: &Report) -> Self {
        let rows = &report.rows;
        let settings = settings_columns(rows);
        let measured = measured_columns(rows);
        let first_measured = settings.len() + 1;
        let makers: Vec<Maker> = settings.into_iter().chain(measured).collect();

        let mut columns = vec![Column { head: "row".into(), numeric: true }];
        columns
            .extend(makers.iter().map(|(head, numeric, _)| Column { head: head.clone(), numeric: *numeric }));
        let mut lines: Vec<Line> = rows
            .iter()
            .enumerate()
            .map(|(k, row)| {
                let mut cells = vec![(k + 1).to_string()];
                cells.extend(makers.iter().map(|(_, _, cell)| cell(row)));
                let kind = match (&row.error, &row.role) {
                    (Some(error), _) => {
                        cells.truncate(first_measured);
                        Kind::Failed(error.clone())
                    }
                    (None, Role::Full) => Kind::Full,
                    (None, _) => Kind::Row,
                };
                Line { kind, cells }
            })
            .collect();
        lines.extend(floors(rows, &columns));
        Self { columns, lines, settings: first_measured }
    }
}

fn settings_columns<'a>(rows: &[Row]) -> Vec<Maker<'a>> {
    let mut makers: Vec<Maker> = vec![
        ("role".into(), false, Box::new(|row| role(&row.role))),
        ("steps".into(), true, Box::new(|row| row.settings.steps.to_string())),
        ("exit, tail".into(), false, Box::new(|row| exit_and_tail(&row.settings))),
    ];
    // A setting that all rows share is said once, below the table.
    for (head, value) in SETTINGS {
        if distinct(rows, value).len() > 1 {
            makers.push((head.to_string(), false, Box::new(move |row| value(&row.settings))));
        }
    }
    makers
}

fn measured_columns<'a>(rows: &[Row]) -> Vec<Maker<'a>> {
    let mut makers: Vec<Maker> = vec![
        ("images/s".into(), true, Box::new(|row| speed(row, |s| Some(spread(s.images_per_second, 4))))),
        (
            "mean depth".into(),
            true,
            Box::new(|row| {
                let of = |d: &crate::bench::Depth| format!("{} of {}", fixed(d.mean, 2), d.blocks);
                row.depth.as_ref().map_or_else(none, of)
            }),
        ),
        ("predicted".into(), true, Box::new(|row| speed(row, |s| s.predicted_speedup.map(times)))),
        ("measured".into(), true, Box::new(|row| speed(row, |s| s.speedup.map(|s| times(s.median))))),
        (
            "r".into(),
            true,
            Box::new(|row| {
                speed(row, |s| {
                    s.r.map(|r| {
                        format!("{} ({} … {})", fixed(r.median, 3), fixed(r.least, 3), fixed(r.most, 3))
                    })
                })
            }),
        ),
        ("RMSE".into(), true, Box::new(|row| row.fidelity.map_or_else(none, |f| rmse(f.rmse)))),
        (
            "PSNR".into(),
            true,
            Box::new(|row| {
                let db = |psnr: Option<f64>| psnr.map_or("equal".into(), |p| format!("{} dB", fixed(p, 1)));
                row.fidelity.map_or_else(none, |f| db(f.psnr))
            }),
        ),
    ];
    let extractors = extractors(rows);
    for name in &extractors {
        let head = |text: &str| {
            if extractors.len() > 1 { format!("{text} ({name})") } else { text.to_owned() }
        };
        let quality =
            |name: String, cell: fn(&crate::bench::Quality) -> String| -> Box<dyn Fn(&Row) -> String> {
                Box::new(move |row| row.quality.iter().find(|q| q.extractor == name).map_or_else(none, cell))
            };
        makers.push((
            head("KID × 10³ ± SE"),
            true,
            quality(name.clone(), |q| kid(q.kid.value, q.kid.standard_error)),
        ));
        makers.push((
            head(&format!("{} (less full depth's)", frechet_name(name))),
            true,
            quality(name.clone(), |q| {
                let difference = q.frechet_difference.map_or(String::new(), |d| {
                    let print = |x: f64| signed_fixed(x, decimals(q.frechet, 4));
                    format!(" ({}: {} … {})", print(d.value), print(d.low), print(d.high))
                });
                format!("{}{difference}", significant(q.frechet, 4))
            }),
        ));
        makers.push((
            head("precision, recall"),
            true,
            quality(name.clone(), |q| format!("{}, {}", fixed(q.precision, 3), fixed(q.recall, 3))),
        ));
    }
    makers
}

/// The floors, one line for each extractor and N.
fn floors(rows: &[Row], columns: &[Column]) -> Vec<Line> {
    let extractors = extractors(rows);
    // Three columns for each extractor end the table.
    let first = columns.len() - 3 * extractors.len();
    let mut seen: Vec<(&str, usize)> = vec![];
    let mut lines = vec![];
    for q in rows.iter().flat_map(|row| &row.quality) {
        if seen.contains(&(&q.extractor, q.n)) {
            continue;
        }
        seen.push((&q.extractor, q.n));
        let at = first + 3 * extractors.iter().position(|e| *e == q.extractor).unwrap_or(0);
        let mut cells = vec![String::new(); columns.len()];
        cells[1] = format!("floor: {} real images against {}", count(q.n_floor), count(q.n_reference));
        if q.n_floor < q.n {
            cells[1] += &format!(" (there are no more; {} were drawn)", count(q.n));
        }
        cells[at] = kid(q.kid_floor.value, q.kid_floor.standard_error);
        cells[at + 1] = significant(q.frechet_floor, 4);
        lines.push(Line { kind: Kind::Floor, cells });
    }
    lines
}

/// Extractors by which any row was judged.
pub fn extractors(rows: &[Row]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for q in rows.iter().flat_map(|row| &row.quality) {
        if !names.contains(&q.extractor) {
            names.push(q.extractor.clone());
        }
    }
    names
}

/// How it was measured, in one line.
pub fn method_line(report: &Report) -> String {
    let rows = &report.rows;
    let mut parts = vec![];
    for (head, value) in SETTINGS {
        match distinct(rows, value).as_slice() {
            [] => {}
            [one] if head == "guidance" && one == "1" => parts.push("no guidance".into()),
            [one] => parts.push(format!("{head} {one}")),
            _ => parts.push(format!("{head} as in the table")),
        }
    }
    let quality = rows.iter().flat_map(|row| &row.quality);
    let mut judged: Vec<String> = vec![];
    for q in quality {
        let text = format!(
            "{} and KID over {}, N = {} against {} real images{}",
            frechet_name(&q.extractor),
            q.extractor,
            count(q.n),
            count(q.n_reference),
            match q.n_paired < q.n_reference {
                true => format!(" (KID, precision and recall: {} of them, evenly spaced)", count(q.n_paired)),
                false => String::new(),
            }
        );
        if !judged.contains(&text) {
            judged.push(text);
        }
    }
    parts.extend(judged);
    let rounds = rows.iter().filter_map(|row| row.speed.as_ref()).map(|s| s.images_per_second.rounds);
    if let (Some(least), Some(most)) = (rounds.clone().min(), rounds.max()) {
        let rounds = if least == most { least.to_string() } else { format!("{least} to {most}") };
        parts.push(format!("median (least … most) of {rounds} interleaved rounds"));
    }
    parts.push(machine_line(report));
    let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    if text.is_empty() { text } else { format!("{text}.") }
}

/// The machine, in one line.
pub fn machine_line(report: &Report) -> String {
    let m = &report.machine;
    let mut parts = vec![];
    if !m.cpu.is_empty() {
        let cores = if m.cores == 1 { "1 core of".into() } else { format!("{} cores of", m.cores) };
        parts.push(format!("{cores} {}", m.cpu));
    }
    if m.memory > 0 {
        parts.push(super::number::bytes(m.memory));
    }
    for (what, version) in [("libtorch", &m.libtorch), ("offramp", &m.offramp), ("", &m.date)] {
        if !version.is_empty() {
            parts.push(format!("{what} {version}").trim().to_owned());
        }
    }
    parts.join(", ")
}

/// A setting's name and value.
type Setting = (&'static str, fn(&Settings) -> String);

/// Settings that become a column where rows differ.
const SETTINGS: [Setting; 9] = [
    ("weights", |s| s.weights.clone()),
    ("solver", |s| s.solver.clone()),
    ("guidance", |s| s.guidance.to_string()),
    ("N", |s| count(s.n)),
    ("seeds from", |s| s.seed.to_string()),
    ("labels", |s| labels(s.labels).into()),
    ("batch", |s| s.batch.to_string()),
    ("dtype", |s| s.dtype.clone()),
    ("threads", |s| s.threads.to_string()),
];

fn distinct(rows: &[Row], value: fn(&Settings) -> String) -> Vec<String> {
    let mut values: Vec<String> = vec![];
    for row in rows {
        let value = value(&row.settings);
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

/// As the CSV has it.
pub fn labels(labels: Labels) -> &'static str {
    match labels {
        Labels::Uniform => "uniform",
        Labels::Balanced => "balanced",
    }
}

/// As the tables have it.
pub fn role(role: &Role) -> String {
    match role {
        Role::Point => "this plan".into(),
        Role::Full => "full depth".into(),
        Role::FewerSteps => "fewer steps".into(),
        Role::Peer { name } => name.clone(),
        role => Family::of(role).name().into(),
    }
}

fn exit_and_tail(settings: &Settings) -> String {
    let tail = Some(settings.tail.clone()).filter(|tail| !tail.is_empty() && tail != "head");
    [Some(settings.exit.clone()), tail].into_iter().flatten().collect::<Vec<_>>().join(" + ")
}

fn speed(row: &Row, cell: impl Fn(&crate::bench::Speed) -> Option<String>) -> String {
    row.speed.as_ref().and_then(cell).unwrap_or_else(none)
}

/// What a cell holds where there is no figure.
pub fn none() -> String {
    NONE.into()
}

/// A root mean square error; one that is there but rounds to nothing is not printed as nothing.
pub fn rmse(rmse: f64) -> String {
    if rmse > 0.0 && rmse < 0.0005 { "< 0.001".into() } else { fixed(rmse, 3) }
}

fn times(x: f64) -> String {
    format!("{}×", fixed(x, 2))
}

fn spread(s: Spread, digits: usize) -> String {
    let print = |x| significant(x, digits);
    format!("{} ({} … {})", print(s.median), print(s.least), print(s.most))
}

/// A kernel distance and its standard error, scaled.
pub fn kid(value: f64, standard_error: f64) -> String {
    format!("{} ± {}", fixed(KID_SCALE * value, 2), fixed(KID_SCALE * standard_error, 2))
}
