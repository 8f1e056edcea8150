//! `report.html`: words first, then plots, then every number.
//!
//! The document is also well-formed XML, and its policy forbids it to load anything.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::comparison::Comparison;
use super::number::{count, fixed, plural, signed, significant};
use super::svg::{self, Size};
use super::table::{Kind, Table, machine_line, method_line};
use super::{Report, names, peers, words};
use crate::bench::family::Family;
use crate::bench::score::Score;
use crate::bench::{ExitErrors, Role};

const STYLE: &str = include_str!("style.css");

/// Void elements as XML wants them, too.
const META: PreEscaped<&str> = PreEscaped(
    "<meta charset=\"utf-8\"/>\
     <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
     <meta name=\"color-scheme\" content=\"light dark\"/>\
     <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>",
);

/// The whole document.
pub fn page(report: &Report) -> Markup {
    let names = names::names(&report.rows);
    let comparisons = Comparison::all(&report.rows);
    let leading = words::leading(&comparisons);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (META)
                title { "offramp benchmark: " (report.plan) }
                style { (PreEscaped(svg::STYLE)) (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        p.kicker { "offramp benchmark · " (report.plan) }
                        p.kicker { (machine_line(report)) }
                        h1 { (words::headline(leading)) }
                        @for paragraph in words::paragraphs(report, &names, leading) { p.lede { (paragraph) } }
                    }
                    @if let Some(comparison) = leading {
                        (choices(report, comparison, &names))
                        (fronts(report, comparison, &comparisons, &names))
                        (losses(comparison, &names))
                        (scored(report, comparison))
                    }
                    (speedups(report, &names))
                    (depths(report, &names))
                    @for errors in &report.exit_errors { (exit_errors(errors)) }
                    (results(report, &names))
                    (peers(report, &names))
                    (missing(report, &names))
                }
            }
        }
    }
}

fn choices(report: &Report, comparison: &Comparison, names: &[String]) -> Markup {
    let full = report.rows.iter().position(|row| row.role == Role::Full).and_then(|k| comparison.point(k));
    let choices = words::choices(comparison);
    let equal = comparison.front().len() - choices.len();
    let fastest = choices.last().map_or(0.0, |c| c.up_to);
    html! {
        h2 { "Which to choose" }
        p { "Take the first line that is fast enough. Every line is on the front; each one further down buys speed with quality." }
        div.scroll tabindex="0" role="region" aria-label="Which to choose" { table {
            thead { tr {
                th.number { "images/s needed" } th { "choose" }
                @if full.is_some() { th.number { "× full depth" } }
                th.number { (comparison.measure.name()) } th.number { "95 % interval" }
            } }
            tbody { @for choice in &choices { tr {
                td.number {
                    @match choice.above { None => { "up to " }, Some(above) => { (significant(above, 3)) " to " } }
                    (significant(choice.up_to, 3))
                }
                td.name { (names[choice.row]) " " small { "row " (choice.row + 1) } }
                @if let Some(full) = full { td.number { (fixed(choice.up_to / full.speed.median, 2)) "×" } }
                td.number { (significant(choice.point.judged.value, 3)) }
                td.number { @match choice.point.judged.interval {
                    Some((low, high)) => { (significant(low, 3)) " … " (significant(high, 3)) },
                    None => { "–" },
                } }
            } } }
        } }
        p.note { "Nothing in this run draws more than " (significant(fastest, 3)) " images/s and is on the front."
            @if equal > 0 { " Not listed: " (plural(equal, "row", "rows")) " of the front, not faster than the line above beyond the spread of the rounds." }
        }
    }
}

fn fronts(report: &Report, leading: &Comparison, all: &[Comparison], names: &[String]) -> Markup {
    let others: Vec<&Comparison> = all.iter().filter(|c| c.measure != leading.measure).collect();
    let present = |family: &Family| leading.points.iter().any(|p| p.family == *family);
    html! {
        h2 { "Speed against quality" }
        ul.legend { @for family in Family::ALL.into_iter().filter(present) {
            li { (svg::swatch(family)) (family.name()) }
        } }
        figure {
            @for size in Size::BOTH { (svg::front_plot(leading, names, size)) }
            figcaption {
                "Right and down is better. " (first_upper(&leading.measure.described())) ", N = " (count(leading.n))
                ". Filled marks are on the front of all rows (the broad line): no other row is both faster and better. \
                 A thin line joins each family's own front. Bars across: least and most of the rounds; bars up: 95 % intervals."
                " A name without room is # and its row's number."
                @if report.rows.iter().any(|row| row.error.is_some()) { " Failed rows are not drawn." }
            }
        }
        div.pair { @for comparison in others {
            figure {
                (svg::front_plot(comparison, names, Size::Narrow))
                figcaption { strong { "By " (comparison.measure.name()) } (first_upper(&comparison.measure.described()))
                    ", N = " (count(comparison.n)) "." }
            }
        } }
    }
}

fn losses(comparison: &Comparison, names: &[String]) -> Markup {
    let losses = words::losses(comparison);
    let measure = comparison.measure.short();
    html! {
        h2 { "Where it loses" }
        @if losses.is_empty() {
            p { "No row of this run is dominated: each is faster or better than every other." }
        } @else {
            p { "Each of these rows is dominated: the row beside it is at least as fast and at least as good." }
            div.scroll tabindex="0" role="region" aria-label="Where it loses" { table {
                thead { tr {
                    th { "row" } th.number { "images/s" } th.number { (measure) }
                    th { "is dominated by" } th.number { "images/s" } th.number { (measure) } th { "how sure" }
                } }
                tbody { @for loss in &losses { tr {
                    @for p in [&loss.point, &loss.to] {
                        td.name { (names[p.row]) " " small { "row " (p.row + 1) } }
                        td.number { (significant(p.speed.median, 3)) }
                        td.number { (significant(p.judged.value, 3)) }
                    }
                    td { (loss.certainty()) }
                } } }
            } }
        }
    }
}

fn scored(report: &Report, comparison: &Comparison) -> Markup {
    let scores = words::scores_of(&report.rows, comparison);
    let scored = |s: &Option<Score>| s.is_some_and(|s| s.scored > 0);
    if !scores.iter().any(|s| scored(&s.at_equal_cost) || scored(&s.at_equal_time)) {
        return html! {};
    }
    let measure = comparison.measure.short();
    html! {
        h2 { "Against fewer steps at equal cost" }
        p { "The mean over a method's rows of (" (measure) " of full depth in fewer steps at the same cost − the row's): \
             above zero the method is the better use of the time. A row that costs less or more than every step count \
             of the reference, or has no cost, is not scored: nothing is extrapolated." }
        div.scroll tabindex="0" role="region" aria-label="Against fewer steps at equal cost" { table {
            thead { tr {
                th { "method" } th.number { "rows" }
                @for cost in ["block cost", "measured time"] {
                    th.number { "gain at equal " (cost) } th.number { "relative" } th.number { "rows scored" }
                }
            } }
            tbody { @for s in &scores { tr {
                td.name { (s.method) }
                td.number { (s.rows) }
                @for score in [&s.at_equal_cost, &s.at_equal_time] { (score_cells(score)) }
            } } }
        } }
        p.note { "After ELUE (arXiv 2110.07038), which scores against one network's line; block cost is in evaluations at full depth." }
    }
}

fn score_cells(score: &Option<Score>) -> Markup {
    let side = |x: f64| if x > 0.0 { "number better" } else { "number worse" };
    html! {
        @match score.and_then(|s| s.gain) {
            Some(gain) => { td class=(side(gain)) { (signed(gain, 3)) } },
            None => { td.number { "–" } },
        }
        td.number { @match score.and_then(|s| s.relative) {
            Some(relative) => { (signed(100.0 * relative, 2)) " %" },
            None => { "–" },
        } }
        td.number { @match score { Some(s) => { (s.scored) " of " (s.scored + s.outside + s.unmeasured) }, None => { "–" } } }
    }
}

fn speedups(report: &Report, names: &[String]) -> Markup {
    if svg::speedup_rows(&report.rows).len() < 2 {
        return html! {};
    }
    html! {
        h2 { "Do saved blocks save their time?" }
        figure {
            @for size in Size::BOTH { (svg::speedup_plot(&report.rows, names, size)) }
            figcaption { "Predicted: block cost of full depth ÷ block cost run. Measured: time ÷ time, in the same round; \
                bars are the least and most of the rounds. Their ratio is r; on the dotted line every saved block saved its time." }
        }
    }
}

fn depths(report: &Report, names: &[String]) -> Markup {
    let varying: Vec<usize> = (0..report.rows.len()).filter(|&k| svg::varies(&report.rows[k])).collect();
    if varying.is_empty() {
        return html! {};
    }
    let times = varying.iter().flat_map(|&k| report.rows[k].by_time.iter().map(|p| p.t));
    let most_t = times.filter(|t| t.is_finite()).fold(0.0, f64::max);
    html! {
        h2 { "Depth against time" }
        p { "Blocks run at each evaluation, from pure noise (left) to the image (right). A line is the mean over images, \
             the band around it one standard deviation: no band, no choice by image. Rows at full depth are not drawn." }
        div.panels { @for k in varying {
            figure {
                @let row = &report.rows[k];
                figcaption {
                    (names[k])
                    @if let Some(depth) = &row.depth { span { " · mean " (fixed(depth.mean, 2)) " of " (depth.blocks) } }
                }
                (svg::depth_panel(row, &names[k], most_t))
            }
        } }
    }
}

fn exit_errors(errors: &ExitErrors) -> Markup {
    html! {
        h2 { "What leaving early costs, " (errors.weights) }
        figure {
            @if errors.blocks > 1 {
                p.legend { "first exit " span.ramp aria-hidden="true" { @for k in 0..errors.blocks.min(24) {
                    i style=(svg::exit_colours(k, errors.blocks.min(24))) {}
                } } " last" }
            }
            @for size in Size::BOTH { (svg::exit_error_plot(errors, size)) }
            figcaption { "Mean over " (count(errors.n)) " images of the mean square error between an exit's prediction and full \
                depth's, along trajectories at full depth. An exit without error, such as the last, is not drawn." }
        }
    }
}

fn results(report: &Report, names: &[String]) -> Markup {
    let table = Table::new(report);
    let method = method_line(report);
    html! {
        h2 { "Every row" }
        @if report.rows.is_empty() { p { "No row is finished." } } @else {
            div.scroll.broad tabindex="0" role="region" aria-label="Every row" { table.results {
                thead { tr { @for column in &table.columns {
                    th class=[(column.numeric && column.head != "row").then_some("number")] { (column.head) }
                } } }
                tbody { @for (k, line) in table.lines.iter().enumerate() {
                    tr class=[match line.kind { Kind::Full => Some("full"), Kind::Floor => Some("floor"), _ => None }] {
                        @let floor = matches!(line.kind, Kind::Floor);
                        @if floor { td colspan=(table.settings) { (line.cells[1]) } }
                        @let skipped = if floor { table.settings } else { 0 };
                        @for (cell, column) in line.cells.iter().zip(&table.columns).skip(skipped) {
                            @if column.head == "row" {
                                td.name { @if let Some(name) = names.get(k) { small { (cell) } " " (name) } }
                            } @else {
                                td class=[column.numeric.then_some("number")] { (cell) }
                            }
                        }
                        @if let Kind::Failed(error) = &line.kind {
                            td.failed colspan=(table.columns.len() - line.cells.len()) { "failed: " (error) }
                        }
                    }
                } }
            } }
        }
        @if !method.is_empty() { p.method { (method) } }
        @if !report.machine.command.is_empty() { p.method { "Measured by " code { (report.machine.command) } } }
    }
}

fn peers(report: &Report, names: &[String]) -> Markup {
    let told = peers::told(&report.rows, names);
    html! {
        @if !told.is_empty() {
            h2 { "Other programs" }
            p { "They run the same weights from the same noise, and were checked against our forward and images before they were timed." }
            dl { @for (name, facts) in told { dt { (name) } dd { (facts) } } }
        }
    }
}

fn missing(report: &Report, names: &[String]) -> Markup {
    let failed: Vec<(usize, &str)> =
        report.rows.iter().enumerate().filter_map(|(k, row)| Some((k, row.error.as_deref()?))).collect();
    if failed.is_empty() && report.left_out.is_empty() {
        return html! {};
    }
    html! {
        h2 { "What is missing" }
        dl {
            @for (k, error) in failed {
                dt { (names[k]) " " @if let Role::Peer { .. } = report.rows[k].role { "(another program) " } "failed" }
                dd { code { (error) } }
            }
            @for (baseline, reason) in &report.left_out {
                dt { (baseline) " was left out" }
                dd { (reason) }
            }
        }
    }
}

fn first_upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}
