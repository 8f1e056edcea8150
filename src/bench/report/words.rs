//! What the rows say, in words.

use super::Report;
use super::comparison::{Comparison, Point};
use super::measure::{KID_SCALE, Measure};
use super::number::{count, fixed, listed, plural, significant};
use crate::bench::family::{Family, method};
use crate::bench::score::{MethodScore, Reference, scores};
use crate::bench::{Quality, Role, Row};

/// Fewer images than this bias the Fréchet distance more than rows differ, so that KID, which has no bias,
/// leads.
const FRECHET_LEADS_FROM: usize = 5000;

/// The comparison that sentences and choices are made from: by KID or Fréchet distance of the first
/// extractor, by RMSE where there is neither.
pub fn leading(comparisons: &[Comparison]) -> Option<&Comparison> {
    let first = |wanted: fn(&Measure) -> bool| comparisons.iter().find(|c| wanted(&c.measure));
    let (frechet, kid) =
        (first(|m| matches!(m, Measure::Frechet(_))), first(|m| matches!(m, Measure::Kid(_))));
    match frechet {
        Some(frechet) if frechet.n >= FRECHET_LEADS_FROM => Some(frechet),
        frechet => kid.or(frechet).or(comparisons.first()),
    }
}

/// The report's first line.
pub fn headline(leading: Option<&Comparison>) -> String {
    let Some(comparison) = leading else { return "Nothing was judged yet".into() };
    let ours = comparison.points.iter().filter(|p| p.family == Family::Ours).count();
    // A row of the front that is faster than a better one by less than the spread of rounds is no choice.
    let worth = choices(comparison)
        .iter()
        .filter(|choice| comparison.point(choice.row).is_some_and(|p| p.family == Family::Ours))
        .count();
    let measure = comparison.measure.noun();
    match (ours, worth) {
        (0, _) => format!(
            "{} of {} on the front of speed and {measure}",
            count(comparison.front().len()),
            plural(comparison.points.len(), "row is", "rows are")
        ),
        (1, 0) => {
            "The early exit of this plan is not worth choosing: another row is as fast and better".into()
        }
        (_, 0) => {
            "No early exit of this plan is worth choosing: for each, another row is as fast and better".into()
        }
        (1, _) => format!("The early exit of this plan is worth choosing, by speed and {measure}"),
        (all, some) if all == some => {
            format!("All {all} early exits of this plan are worth choosing, by speed and {measure}")
        }
        (all, some) => {
            format!(
                "{some} of {all} early exits of this plan {} worth choosing, by speed and {measure}",
                if some == 1 { "is" } else { "are" }
            )
        }
    }
}

/// The first paragraphs: what to choose; where the plan's exits lose; how sure the rest is.
pub fn paragraphs(report: &Report, names: &[String], leading: Option<&Comparison>) -> Vec<String> {
    let rows = &report.rows;
    let (mut choose, mut lose, mut know) = (vec![], vec![], vec![]);
    if let Some(comparison) = leading {
        choose.extend(reference_sentence(rows, comparison));
        choose.push(front_sentence(names, comparison));
        lose.extend(losses_sentence(names, comparison));
        lose.extend(score_sentences(rows, comparison));
        know.extend(bias_sentence(comparison));
        if !comparison.other_n.is_empty() {
            know.push(other_n_sentence(rows, names, comparison));
        }
    }
    know.extend(r_sentence(rows, names));
    know.extend(missing_sentence(report));
    [choose, lose, know].into_iter().filter(|p| !p.is_empty()).map(|p: Vec<String>| p.join(" ")).collect()
}

fn missing_sentence(report: &Report) -> Option<String> {
    let failed = report.rows.iter().filter(|row| row.error.is_some()).count();
    let mut parts = vec![];
    if failed > 0 {
        parts.push(format!("{} failed", plural(failed, "row", "rows")));
    }
    if !report.left_out.is_empty() {
        parts.push(plural(report.left_out.len(), "baseline was left out", "baselines were left out"));
    }
    (!parts.is_empty()).then(|| format!("{}: the reasons are below.", listed(&parts)))
}

fn reference_sentence(rows: &[Row], comparison: &Comparison) -> Option<String> {
    let (k, _) = rows.iter().enumerate().find(|(_, row)| row.role == Role::Full)?;
    let full = comparison.point(k)?;
    let floor = comparison
        .floor
        .map(|floor| format!("; the floor, real images against real images, is {}", significant(floor, 2)))
        .unwrap_or_default();
    Some(format!(
        "Full depth in {} steps draws {} images/s ({}: {}, N = {}{floor}).",
        rows[k].settings.steps,
        significant(full.speed.median, 3),
        comparison.measure.short(),
        significant(full.judged.value, 3),
        count(comparison.n),
    ))
}

fn front_sentence(names: &[String], comparison: &Comparison) -> String {
    let (front, choices) = (comparison.front(), choices(comparison));
    let chosen: Vec<String> =
        choices.iter().map(|c| format!("{} (up to {})", names[c.row], significant(c.up_to, 3))).collect();
    let beside: Vec<String> = front
        .iter()
        .filter(|p| choices.iter().all(|c| c.row != p.row))
        .map(|p| names[p.row].clone())
        .collect();
    let beside = match beside.len() {
        0 => String::new(),
        1 => format!("; {} is on the front, too", beside[0]),
        _ => format!("; {} are on the front, too", listed(&beside)),
    };
    format!(
        "Of {} compared, {} on the front: no other is both faster and better. By the images/s that are needed, choose {}{beside}.",
        plural(comparison.points.len(), "row", "rows"),
        if front.len() == 1 { "one is".into() } else { format!("{} are", count(front.len())) },
        listed(&chosen),
    )
}

fn losses_sentence(names: &[String], comparison: &Comparison) -> Option<String> {
    if !comparison.points.iter().any(|p| p.family == Family::Ours) {
        return None;
    }
    let all = losses(comparison);
    let ours: Vec<String> = all
        .iter()
        .filter(|loss| loss.point.family == Family::Ours)
        .map(|loss| {
            format!("{} loses to {} ({})", names[loss.point.row], names[loss.to.row], loss.certainty())
        })
        .collect();
    let others = all.len() - ours.len();
    let ours = match ours.len() {
        0 => "Of this plan's exits none is dominated by another row".into(),
        _ => format!("Of this plan's exits {}", listed(&ours)),
    };
    let others = match others {
        0 => String::new(),
        _ => format!("; {} below", plural(others, "baseline that loses is", "baselines that lose are")),
    };
    Some(format!("{ours}{others}."))
}

fn bias_sentence(comparison: &Comparison) -> Option<String> {
    let small = comparison.n < FRECHET_LEADS_FROM && matches!(comparison.measure, Measure::Kid(_));
    small.then(|| {
        format!(
            "At N = {} the Fréchet distance is biased upwards by the sample's size, so KID, which is not, decides here.",
            count(comparison.n)
        )
    })
}

fn other_n_sentence(rows: &[Row], names: &[String], comparison: &Comparison) -> String {
    let of = |&k: &usize| match comparison.measure.is_biased() {
        true => names[k].clone(),
        false => format!("{} (N = {})", names[k], count(comparison.measure.n(&rows[k]))),
    };
    let others = listed(&comparison.other_n.iter().map(of).collect::<Vec<_>>());
    match comparison.measure.is_biased() {
        true => format!("Judged on another N, and so not compared here: {others}."),
        false => format!(
            "Judged on another N, which leaves {} unbiased but its interval wider or narrower: {others}.",
            comparison.measure.noun()
        ),
    }
}

fn r_sentence(rows: &[Row], names: &[String]) -> Option<String> {
    let mut measured: Vec<(f64, usize)> = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.role != Role::Full && row.error.is_none())
        .filter_map(|(k, row)| Some((row.speed.as_ref()?.r?.median, k)))
        .filter(|(r, _)| r.is_finite())
        .collect();
    measured.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ((least, least_row), (most, most_row)) = (*measured.first()?, *measured.last()?);
    if measured.len() == 1 {
        return Some(format!(
            "Of the predicted speed-up, {} was measured at {}.",
            fixed(least, 3),
            names[least_row]
        ));
    }
    Some(format!(
        "Of the predicted speed-up, the share that was measured (r) is between {} ({}) and {} ({}).",
        fixed(least, 3),
        names[least_row],
        fixed(most, 3),
        names[most_row],
    ))
}

/// How a distance of this measure is read from a row, where fronts can be scored by it.
pub fn scores_of(rows: &[Row], comparison: &Comparison) -> Vec<MethodScore> {
    let n = comparison.measure.is_biased().then_some(comparison.n);
    let by = |extractor: &str, distance: fn(&Quality) -> f64| {
        scores(rows, Reference::FewerSteps, extractor, n, distance)
    };
    match &comparison.measure {
        Measure::Frechet(extractor) => by(extractor, |q| q.frechet),
        Measure::Kid(extractor) => by(extractor, |q| KID_SCALE * q.kid.value),
        Measure::Rmse => vec![],
    }
}

fn score_sentences(rows: &[Row], comparison: &Comparison) -> Vec<String> {
    let ours = |s: &MethodScore| rows.iter().any(|row| row.role == Role::Point && method(row) == s.method);
    let scored = scores_of(rows, comparison).into_iter().filter(ours).filter_map(|s| {
        let score = s.at_equal_time?;
        let (gain, relative) = (score.gain?, score.relative?);
        Some(format!(
            "At equal time the exit “{}” is {} {} than fewer steps (by {} in {}; {} of {} scored).",
            s.method,
            percent(relative.abs()),
            if gain > 0.0 { "better" } else { "worse" },
            significant(gain.abs(), 2),
            comparison.measure.short(),
            score.scored,
            plural(s.rows, "row", "rows"),
        ))
    });
    scored.collect()
}

/// A share in percent.
pub fn percent(share: f64) -> String {
    format!("{}\u{a0}%", significant(100.0 * share, 2))
}

/// Which row to take for a budget.
pub struct Choice {
    pub row: usize,
    /// Images a second that one needs: above the first (none: any), up to the second.
    pub above: Option<f64>,
    pub up_to: f64,
    pub point: Point,
}

/// The front as choices, from the best to the fastest.
pub fn choices(comparison: &Comparison) -> Vec<Choice> {
    let mut above = None;
    let mut choices: Vec<Choice> = vec![];
    for point in comparison.front() {
        let up_to = point.speed.median;
        // Not faster beyond the rounds' spread, and no better: no choice.
        if choices.last().is_some_and(|before| before.point.near(&point).1) {
            continue;
        }
        choices.push(Choice { row: point.row, above, up_to, point });
        above = Some(up_to);
    }
    choices
}

/// A row that another is both faster and better than.
pub struct Loss {
    pub point: Point,
    pub to: Point,
}

impl Loss {
    /// How far the measurement bears it out.
    pub fn certainty(&self) -> &'static str {
        match self.point.near(&self.to) {
            (false, false) => "clear in both",
            (true, false) => "quality within the intervals",
            (false, true) => "speed within the spread",
            (true, true) => "both within the noise",
        }
    }
}

/// All dominated rows, the plan's own first, each with the row that dominates it.
pub fn losses(comparison: &Comparison) -> Vec<Loss> {
    let mut losses: Vec<Loss> = comparison
        .points
        .iter()
        .filter_map(|p| comparison.dominator(p).map(|to| Loss { point: *p, to }))
        .collect();
    losses.sort_by_key(|loss| (loss.point.family, loss.point.row));
    losses
}
