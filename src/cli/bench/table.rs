//! The rows in the terminal.

use offramp::bench::{Ledger, Role, Row};

use crate::cli::Failure;
use crate::cli::stdout::say;

/// Prints the rows as a table.
pub fn print(ledger: &Ledger) -> Result<(), Failure> {
    let rows = ledger.rows();
    let lines: Vec<Vec<String>> = std::iter::once(head()).chain(rows.iter().map(cells)).collect();
    let widths: Vec<usize> = (0..head().len())
        .map(|c| lines.iter().map(|l| l[c].chars().count()).max().unwrap_or_default())
        .collect();
    for line in &lines {
        let padded: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(
                |(c, (cell, &width))| {
                    if c < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        say!("{}", padded.join("  ").trim_end())?;
    }
    for row in rows.iter().filter(|r| r.error.is_some()) {
        say!("{}: {}", what(row), row.error.as_deref().unwrap_or_default())?;
    }
    for (baseline, reason) in &ledger.run().plan.left_out {
        say!("baseline {baseline} left out: {reason}")?;
    }
    Ok(())
}

fn head() -> Vec<String> {
    [
        "role",
        "exit",
        "steps",
        "images/s",
        "depth",
        "predicted",
        "measured",
        "r",
        "RMSE",
        "KID·10³",
        "FD",
        "± 95 %",
    ]
    .map(Into::into)
    .to_vec()
}

fn what(row: &Row) -> String {
    match &row.role {
        Role::Peer { name } => name.clone(),
        _ if row.settings.tail == "head" => row.settings.exit.clone(),
        _ => format!("{} + {}", row.settings.exit, row.settings.tail),
    }
}

fn role(role: &Role) -> &'static str {
    match role {
        Role::Point => "",
        Role::Full => "full depth",
        Role::FewerSteps => "fewer steps",
        Role::FixedExit => "fixed exit",
        Role::TimeSchedule => "time schedule",
        Role::FirstBlockCache => "first-block cache",
        Role::Peer { .. } => "peer",
    }
}

fn cells(row: &Row) -> Vec<String> {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "–".into());
    let speed = row.speed.as_ref();
    let quality = row.quality.first();
    vec![
        role(&row.role).into(),
        what(row),
        row.settings.steps.to_string(),
        or_dash(speed.map(|s| format!("{:.2}", s.images_per_second.median))),
        or_dash(row.depth.as_ref().map(|d| format!("{:.2}/{}", d.mean, d.blocks))),
        or_dash(speed.and_then(|s| s.predicted_speedup).map(|p| format!("{p:.2}×"))),
        or_dash(speed.and_then(|s| s.speedup).map(|s| format!("{:.2}×", s.median))),
        or_dash(speed.and_then(|s| s.r).map(|r| format!("{:.3}", r.median))),
        or_dash(row.fidelity.map(|f| format!("{:.3}", f.rmse))),
        or_dash(quality.map(|q| format!("{:.2}", 1e3 * q.kid.value))),
        or_dash(quality.map(|q| format!("{:.2}", q.frechet))),
        or_dash(
            quality.and_then(|q| q.frechet_difference).map(|d| format!("{:+.2} … {:+.2}", d.low, d.high)),
        ),
    ]
}
