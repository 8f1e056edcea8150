//! `summary.md`: the few columns that a README has room for.

use super::Report;
use super::markdown::{escape, line, method};
use super::measure::{KID_SCALE, frechet_name};
use super::names::names;
use super::number::{count, decimals, fixed, signed_fixed, significant};
use super::table::{extractors, role};
use crate::bench::{Quality, Role, Row};

const NONE: &str = "–";

/// One line a row, by the first extractor alone; how it was measured below.
pub fn summary(report: &Report) -> String {
    let extractor = extractors(&report.rows).into_iter().next();
    let distance = extractor.as_deref().map_or("FD", frechet_name);
    let heads = ["row", "", "images/s", "speed-up (predicted)", "mean depth", "RMSE", "KID × 10³ ± SE"];
    let mut heads: Vec<String> = heads.iter().map(|head| head.to_string()).collect();
    heads.push(format!("{distance} (less full depth's, 95 %)"));
    let mut text = String::new();
    line(&mut text, &heads);
    line(&mut text, &["---", "---", "---:", "---:", "---:", "---:", "---:", "---:"].map(String::from));
    for (row, name) in report.rows.iter().zip(names(&report.rows)) {
        let quality = row.quality.iter().find(|q| Some(&q.extractor) == extractor.as_ref());
        // The plan's own rows and full depth need no second word.
        let kind = match row.role {
            Role::Point | Role::Full => String::new(),
            Role::Peer { .. } => "peer".into(),
            _ => role(&row.role),
        };
        let mut cells = vec![name, kind];
        cells.extend(match &row.error {
            Some(error) => vec![format!("failed: {error}")],
            None => figures(row, quality),
        });
        cells.resize(heads.len(), String::new());
        line(&mut text, &cells.iter().map(|cell| escape(cell)).collect::<Vec<_>>());
    }
    let judged = |row: &&Row| row.quality.iter().any(|q| Some(&q.extractor) == extractor.as_ref());
    let floor = report.rows.iter().find(judged).and_then(|row| row.quality.first());
    if let Some(floor) = floor {
        let mut cells = vec![String::new(); heads.len()];
        cells[0] = format!("{} real images", count(floor.n_floor));
        cells[1] = "floor".into();
        cells[6] = kid(floor.kid_floor.value, floor.kid_floor.standard_error);
        cells[7] = significant(floor.frechet_floor, 3);
        line(&mut text, &cells);
    }
    text + &method(report)
}

fn figures(row: &Row, quality: Option<&Quality>) -> Vec<String> {
    let none = || NONE.to_owned();
    let speed = row.speed.as_ref();
    let speedup = speed.and_then(|s| s.speedup).map(|s| fixed(s.median, 2));
    let predicted = speed.and_then(|s| s.predicted_speedup).map(|p| format!(" ({})", fixed(p, 2)));
    vec![
        speed.map_or_else(none, |s| significant(s.images_per_second.median, 3)),
        speedup.map_or_else(none, |s| format!("{s}×{}", predicted.unwrap_or_default())),
        row.depth.as_ref().map_or_else(none, |d| fixed(d.mean, 2)),
        row.fidelity.map_or_else(none, |f| fixed(f.rmse, 3)),
        quality.map_or_else(none, |q| {
            // A peer may have drawn fewer images than the plan's N.
            let fewer = if q.n == row.settings.n { String::new() } else { format!(", N {}", count(q.n)) };
            format!("{}{fewer}", kid(q.kid.value, q.kid.standard_error))
        }),
        quality.map_or_else(none, |q| {
            let places = decimals(q.frechet, 3);
            let print = |x: f64| signed_fixed(x, places);
            let difference = q.frechet_difference.map_or(String::new(), |d| {
                format!(" ({}: {} … {})", print(d.value), print(d.low), print(d.high))
            });
            format!("{}{difference}", significant(q.frechet, 3))
        }),
    ]
}

fn kid(value: f64, standard_error: f64) -> String {
    format!("{} ± {}", fixed(KID_SCALE * value, 2), fixed(KID_SCALE * standard_error, 2))
}
