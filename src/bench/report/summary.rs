//! `summary.md`: the few columns that a README has room for.

use super::Report;
use super::markdown::{escape, line, method};
use super::measure::frechet_name;
use super::names::names;
use super::number::{count, decimals, fixed, signed_fixed, significant};
use super::table::{extractors, kid, none, rmse, role};
use crate::bench::{Quality, Role, Row};

/// One line a row, by the first extractor alone; how it was measured below.
pub fn summary(report: &Report) -> String {
    let extractor = extractors(&report.rows).into_iter().next();
    let distance = extractor.as_deref().map_or("FD", frechet_name);
    let heads = ["row", "", "images/s", "speed-up (predicted)", "mean depth", "RMSE", "KID × 10³ ± SE"];
    let mut heads: Vec<String> = heads.iter().map(|head| head.to_string()).collect();
    heads.push(format!("{distance} (less full depth's, 95 %)"));
    let by_first = |q: &&Quality| Some(&q.extractor) == extractor.as_ref();
    let mut text = String::new();
    line(&mut text, &heads);
    line(&mut text, &["---", "---", "---:", "---:", "---:", "---:", "---:", "---:"].map(String::from));
    for (row, name) in report.rows.iter().zip(names(&report.rows)) {
        let quality = row.quality.iter().find(by_first);
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
    if let Some(floor) = report.rows.iter().flat_map(|row| &row.quality).find(by_first) {
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
    let speed = row.speed.as_ref();
    let speedup = speed.and_then(|s| s.speedup).map(|s| fixed(s.median, 2));
    let predicted = speed.and_then(|s| s.predicted_speedup).map(|p| format!(" ({})", fixed(p, 2)));
    vec![
        speed.map_or_else(none, |s| significant(s.images_per_second.median, 3)),
        speedup.map_or_else(none, |s| format!("{s}×{}", predicted.unwrap_or_default())),
        row.depth.as_ref().map_or_else(none, |d| fixed(d.mean, 2)),
        row.fidelity.map_or_else(none, |f| rmse(f.rmse)),
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
