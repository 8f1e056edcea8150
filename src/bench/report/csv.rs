//! `results.csv`: every number of every row, one row a line; empty where nothing was measured.

use super::table::{extractors, labels, role};
use crate::bench::{Quality, Role, Row, Spread};

/// A column's name and its cell of a row.
type Column = (String, Box<dyn Fn(&Row) -> String>);

/// The table as bytes.
///
/// # Errors
/// None that memory is known to make.
pub fn csv(rows: &[Row]) -> Result<Vec<u8>, std::io::Error> {
    let mut columns = settings();
    columns.extend(measured());
    for extractor in extractors(rows) {
        columns.extend(judged(extractor));
    }
    let mut writer = ::csv::Writer::from_writer(vec![]);
    let heads: Vec<&str> =
        std::iter::once("row").chain(columns.iter().map(|(head, _)| head.as_str())).collect();
    writer.write_record(heads)?;
    for (k, row) in rows.iter().enumerate() {
        let mut record = vec![(k + 1).to_string()];
        record.extend(columns.iter().map(|(_, cell)| cell(row)));
        writer.write_record(record)?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}

fn column(head: &str, cell: impl Fn(&Row) -> String + 'static) -> Column {
    (head.into(), Box::new(cell))
}

fn number(head: &str, value: impl Fn(&Row) -> Option<f64> + 'static) -> Column {
    column(head, move |row| value(row).map_or(String::new(), |x| x.to_string()))
}

fn settings() -> Vec<Column> {
    vec![
        column("id", |row| row.id.clone()),
        column("role", |row| match &row.role {
            Role::Peer { name } => format!("peer: {name}"),
            other => role(other),
        }),
        column("weights", |row| row.settings.weights.clone()),
        column("weights_sha256", |row| row.settings.weights_sha256.clone()),
        column("solver", |row| row.settings.solver.clone()),
        column("steps", |row| row.settings.steps.to_string()),
        column("exit", |row| row.settings.exit.clone()),
        column("tail", |row| row.settings.tail.clone()),
        column("guidance", |row| row.settings.guidance.to_string()),
        column("batch", |row| row.settings.batch.to_string()),
        column("dtype", |row| row.settings.dtype.clone()),
        column("threads", |row| row.settings.threads.to_string()),
        column("n", |row| row.settings.n.to_string()),
        column("seed", |row| row.settings.seed.to_string()),
        column("labels", |row| labels(row.settings.labels).into()),
        column("error", |row| row.error.clone().unwrap_or_default()),
    ]
}

fn measured() -> Vec<Column> {
    let images = |row: &Row| row.speed.as_ref().map(|s| s.images_per_second);
    let speedup = |row: &Row| row.speed.as_ref().and_then(|s| s.speedup);
    let r = |row: &Row| row.speed.as_ref().and_then(|s| s.r);
    let mut columns = spread("images_per_second", images);
    columns.push(number("rounds", move |row| images(row).map(|s| s.rounds as f64)));
    columns.push(number("predicted_speedup", |row| row.speed.as_ref().and_then(|s| s.predicted_speedup)));
    columns.extend(spread("speedup", speedup));
    columns.extend(spread("r", r));
    columns.push(column("peak_rss_bytes", |row| {
        row.speed.as_ref().and_then(|s| s.peak_rss).map_or(String::new(), |bytes| bytes.to_string())
    }));
    columns.extend([
        number("blocks", |row| row.depth.as_ref().map(|d| d.blocks as f64)),
        number("mean_depth", |row| row.depth.as_ref().map(|d| d.mean)),
        number("cost_share", |row| row.depth.as_ref().map(|d| d.cost_share)),
        number("cost", |row| row.depth.as_ref().map(|d| d.cost)),
        number("rmse", |row| row.fidelity.map(|f| f.rmse)),
        number("psnr_db", |row| row.fidelity.and_then(|f| f.psnr)),
        number("ssim", |row| row.fidelity.map(|f| f.ssim)),
        column("peer_arrangement", |row| {
            let fastest = row.peer.as_ref().and_then(|p| p.trials.first());
            fastest.map_or(String::new(), |trial| trial.arrangement.clone())
        }),
        number("peer_images", |row| row.peer.as_ref().map(|p| p.images as f64)),
        number("peer_compile_seconds", |row| row.peer.as_ref().map(|p| p.compile_seconds)),
        number("peer_forward_difference", |row| row.peer.as_ref().map(|p| p.forward_difference)),
        number("peer_image_difference", |row| row.peer.as_ref().map(|p| p.image_difference)),
        number("peer_taken_depth", |row| row.peer.as_ref().and_then(|p| p.taken_depth)),
    ]);
    columns
}

fn spread(head: &str, of: impl Fn(&Row) -> Option<Spread> + Copy + 'static) -> Vec<Column> {
    vec![
        number(&format!("{head}_median"), move |row| of(row).map(|s| s.median)),
        number(&format!("{head}_least"), move |row| of(row).map(|s| s.least)),
        number(&format!("{head}_most"), move |row| of(row).map(|s| s.most)),
    ]
}

/// A number of a quality, by name.
type Judged = (&'static str, fn(&Quality) -> Option<f64>);

const JUDGED: [Judged; 16] = [
    ("n", |q| Some(q.n as f64)),
    ("n_reference", |q| Some(q.n_reference as f64)),
    ("n_paired", |q| Some(q.n_paired as f64)),
    ("n_floor", |q| Some(q.n_floor as f64)),
    ("frechet", |q| Some(q.frechet)),
    ("frechet_floor", |q| Some(q.frechet_floor)),
    ("frechet_difference", |q| q.frechet_difference.map(|d| d.value)),
    ("frechet_difference_low", |q| q.frechet_difference.map(|d| d.low)),
    ("frechet_difference_high", |q| q.frechet_difference.map(|d| d.high)),
    ("kid", |q| Some(q.kid.value)),
    ("kid_standard_error", |q| Some(q.kid.standard_error)),
    ("kid_floor", |q| Some(q.kid_floor.value)),
    ("precision", |q| Some(q.precision)),
    ("recall", |q| Some(q.recall)),
    ("density", |q| Some(q.density)),
    ("coverage", |q| Some(q.coverage)),
];

fn judged(extractor: String) -> Vec<Column> {
    JUDGED
        .into_iter()
        .map(|(head, value)| {
            let name = extractor.clone();
            number(&format!("{extractor}:{head}"), move |row| {
                row.quality.iter().find(|q| q.extractor == name).and_then(value)
            })
        })
        .collect()
}
