//! From drawn images to finished rows: depth, speed, fidelity, quality.

use super::ledger::Ledger;
use super::points::Point;
use super::quality::{extract, fidelity, quality};
use super::real::{Features, Real};
use super::speed::{Depths, speed};
use super::told::{Tell, Told};
use super::{BenchError, PeerFacts, Row};

/// Works out the features of every point that is drawn: all that a shard does besides drawing. False: it was stopped.
///
/// # Errors
/// The disk's; a damaged file.
pub fn extract_all(ledger: &Ledger, real: Option<&Real>, tell: &mut Tell) -> Result<bool, BenchError> {
    let Some(real) = real else { return Ok(true) };
    for point in &ledger.run().points {
        let rounds = ledger.run().rounds_of(point)?;
        if !ledger.is_drawn(&point.id, &rounds) {
            continue;
        }
        let what = format!("features of {}", point.name());
        if tell(Told::Working { what: &what }).is_break() || !extract(ledger, &point.id, &rounds, real, tell)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Works out every row that is missing. `failed` are the points that cannot be had, with their reasons. False: it was
/// stopped.
///
/// # Errors
/// The disk's; a damaged file; what the metrics refuse.
pub fn finish(
    ledger: &mut Ledger,
    failed: &[(String, String)],
    real: Option<&Real>,
    tell: &mut Tell,
) -> Result<bool, BenchError> {
    let points = ledger.run().points.clone();
    let missing: Vec<&Point> =
        points.iter().filter(|p| ledger.row(&p.id).is_none_or(|row| row.error.is_some())).collect();
    if missing.is_empty() {
        return Ok(true);
    }
    let mut references: Vec<Features> = vec![];
    if let Some(real) = real {
        let folder = ledger.folder().join("reference");
        let plan = &ledger.run().plan;
        for extractor in &real.extractors {
            match real.features(&**extractor, &folder, plan.threads(), tell)? {
                Some(features) => references.push(features),
                None => return Ok(false),
            }
        }
    }
    for point in missing {
        let reason = failed.iter().find(|(id, _)| *id == point.id).map(|(_, reason)| &**reason);
        let row = match (reason, ledger.is_drawn(&point.id, &ledger.run().rounds_of(point)?)) {
            (Some(reason), _) => without_figures(point, reason),
            (None, false) => without_figures(point, "it was not drawn to the end"),
            (None, true) => {
                let what = format!("figures of {}", point.name());
                if tell(Told::Working { what: &what }).is_break() {
                    return Ok(false);
                }
                row(ledger, point, real, &references)?
            }
        };
        ledger.keep_row(row.clone())?;
        if tell(Told::Finished { row: &row }).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn without_figures(point: &Point, reason: &str) -> Row {
    Row {
        id: point.id.clone(),
        role: point.role.clone(),
        settings: point.settings.clone(),
        error: Some(reason.to_owned()),
        speed: None,
        depth: None,
        by_time: vec![],
        quality: vec![],
        fidelity: None,
        peer: None,
    }
}

fn row(
    ledger: &Ledger,
    point: &Point,
    real: Option<&Real>,
    references: &[Features],
) -> Result<Row, BenchError> {
    let rounds = &*ledger.run().rounds_of(point)?;
    let depths = Depths::read(ledger, &point.id, rounds)?;
    let depth = depths.row(point.blocks);
    // A row of full depth is compared with nothing but itself.
    let has_full = ledger.is_drawn(&point.full, rounds);
    let other = (has_full && point.full != point.id).then_some(&*point.full);
    let full = match has_full {
        true => Depths::read(ledger, &point.full, rounds)?.row(point.blocks),
        false => None,
    };
    let predicted = depth.as_ref().zip(full).map(|(own, full)| full.cost / own.cost);
    let extractors = real.iter().flat_map(|r| &r.extractors);
    Ok(Row {
        id: point.id.clone(),
        role: point.role.clone(),
        settings: point.settings.clone(),
        error: None,
        speed: speed(ledger, point, predicted),
        by_time: depths.by_time(&point.times),
        depth,
        quality: extractors
            .zip(references)
            .map(|(extractor, reference)| quality(ledger, &point.id, other, rounds, &**extractor, reference))
            .collect::<Result<_, _>>()?,
        fidelity: other.map(|full| fidelity(ledger, &point.id, full, rounds)).transpose()?,
        peer: PeerFacts::of(ledger.lines_of(&point.id)),
    })
}
