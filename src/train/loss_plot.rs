//! A run's losses against its steps, as one SVG document.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use crate::plot::number::{count, significant};
use crate::plot::{Frame, Scale, px, text_width};

const STYLE: &str = concat!(include_str!("../plot/plot.css"), include_str!("loss_plot.css"));

/// The room around the whole, and a legend's row.
const MARGIN: f64 = 16.0;
const ROW: f64 = 20.0;
/// Fewer points than this are shown as they are, each with a dot.
const FEW: usize = 40;
/// The smoothed line averages so large a part of all points, centred.
const WINDOW: f64 = 0.03;
/// Corners of a smoothed line: more cannot be seen.
const CORNERS: usize = 480;
/// Losses above this have no place in a plot, as NaN has none: their sums would not be finite.
const LARGEST: f64 = 1e100;
/// Colours; behind the last one, lines are dashed.
const COLOURS: usize = 6;
const DASHES: usize = 3;

/// One loss over the run: (step, value), sorted by step.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Series {
    /// The last value that is drawn strong.
    fn last(&self) -> f64 {
        let drawn = if self.points.len() < FEW { &self.points } else { &smoothed(&self.points) };
        drawn.last().map_or(f64::NAN, |p| p.1)
    }
}

/// Plots `loss` and every key that begins with `loss.` against `step`, from the lines of a run's `metrics.jsonl`.
///
/// Raw values are faint, their moving average is strong; y is logarithmic where the values are positive and span more
/// than a factor of six. Lines without a step, and values that are no finite numbers (or above 10¹⁰⁰), are left out. The document
/// loads nothing, and is light or dark as the reader's system is.
pub fn loss_svg(lines: &[Value], title: &str) -> String {
    draw(&series(lines), title).into_string()
}

fn series(lines: &[Value]) -> Vec<Series> {
    let mut found: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for line in lines {
        let Some((step, values)) = line.get("step").and_then(Value::as_f64).zip(line.as_object()) else {
            continue;
        };
        for (key, value) in values {
            let value = value.as_f64().filter(|v| v.abs() <= LARGEST);
            if let Some(value) = value.filter(|_| key == "loss" || key.starts_with("loss.")) {
                found.entry(key).or_default().push((step, value));
            }
        }
    }
    let mut series: Vec<Series> = found
        .into_iter()
        .map(|(name, mut points)| {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Series { name: name.to_owned(), points }
        })
        .collect();
    series.sort_by(|a, b| by_name(&a.name, &b.name));
    series
}

/// As a person sorts names: `loss.exit2` before `loss.exit10`.
fn by_name(a: &str, b: &str) -> Ordering {
    let split = |name: &str| -> (String, u64) {
        let text = name.trim_end_matches(|c: char| c.is_ascii_digit());
        (text.to_owned(), name[text.len()..].parse().unwrap_or(0))
    };
    split(a).cmp(&split(b)).then_with(|| a.cmp(b))
}

/// The mean of the points around, as many as there are towards the ends; some of them, where there are many.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let n = points.len();
    let half = (0.5 * WINDOW * n as f64).ceil() as usize;
    let value = |at: usize| {
        let window = &points[at.saturating_sub(half)..n.min(at + half + 1)];
        window.iter().map(|p| p.1).sum::<f64>() / window.len() as f64
    };
    let every = n.div_ceil(CORNERS).max(1);
    let mut at: Vec<usize> = (0..n).step_by(every).collect();
    if at.last().is_some_and(|&last| last < n - 1) {
        at.push(n - 1);
    }
    at.into_iter().map(|k| (points[k].0, value(k))).collect()
}

fn draw(series: &[Series], title: &str) -> Markup {
    let told: Vec<String> =
        series.iter().map(|s| format!("{} {}", s.name, significant(s.last(), 3))).collect();
    let steps: Vec<f64> = series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).collect();
    let (from, to) = ends(&steps);
    let legend = if series.len() > 1 { legend_places(&told) } else { vec![] };
    let rows = legend.last().map_or(0.0, |(_, row)| row + 1.0);
    let frame = Frame {
        width: 960.0,
        height: 480.0,
        left: 56.0,
        right: 14.0,
        top: 58.0,
        bottom: 48.0,
        x_ticks: 9,
        y_ticks: 6,
    };
    let (width, height) = (frame.width + 2.0 * MARGIN, frame.height + rows * ROW + 2.0 * MARGIN);
    let view = format!("{} {} {} {}", px(-MARGIN), px(-MARGIN), px(width), px(height));
    let described = match series {
        [] => format!("{title}: no losses yet."),
        _ => format!("{title}: losses against steps, at step {} {}.", count(to as usize), told.join(", ")),
    };
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(view) width=(px(width)) height=(px(height))
            role="img" aria-label=(described) {
            style { (PreEscaped(STYLE)) }
            rect.ground x=(px(-MARGIN)) y=(px(-MARGIN)) width=(px(width)) height=(px(height)) {}
            text.title x="0" y="14" { (title) }
            @if series.is_empty() {
                text x="0" y=(px(frame.top)) { "no losses yet" }
            } @else {
                text x=(px(frame.width - frame.right)) y="14" text-anchor="end" {
                    "step " (count(to as usize)) @if let [one] = told.as_slice() { ": " (one) }
                }
                (lines(series, &frame, (from, to)))
                @for ((k, text), (x, row)) in told.iter().enumerate().zip(&legend) {
                    @let y = frame.height + ROW * (row + 0.5);
                    g class=(class(k)) { line.smooth x1=(px(*x)) x2=(px(x + 22.0)) y1=(px(y)) y2=(px(y)) {} }
                    text x=(px(x + 30.0)) y=(px(y + 4.0)) { (text) }
                }
            }
        }
    }
}

fn lines(series: &[Series], frame: &Frame, steps: (f64, f64)) -> Markup {
    let values: Vec<f64> = series.iter().flat_map(|s| s.points.iter().map(|p| p.1)).collect();
    let x = Scale::linear(steps, frame.x_range());
    let y = Scale::fit(&values, frame.y_range());
    let path = |points: &[(f64, f64)]| {
        let at = |(step, value): &(f64, f64)| format!("{},{}", px(x.at(*step)), px(y.at(*value)));
        points.iter().map(at).collect::<Vec<_>>().join(" ")
    };
    html! {
        (frame.axes(&x, &y, "step →", "↓ loss"))
        // All that is raw lies below all that is smooth.
        @for (k, s) in series.iter().enumerate().filter(|(_, s)| s.points.len() >= FEW) {
            g class=(class(k)) { polyline.raw points=(path(&s.points)) {} }
        }
        @for (k, s) in series.iter().enumerate() {
            g class=(class(k)) {
                title { (s.name) }
                @if s.points.len() >= FEW {
                    polyline.smooth points=(path(&smoothed(&s.points))) {}
                } @else {
                    polyline.smooth points=(path(&s.points)) {}
                    @for (step, value) in &s.points {
                        circle cx=(px(x.at(*step))) cy=(px(y.at(*value))) r="2.5" {}
                    }
                }
            }
        }
    }
}

/// The first and the last step; never the same.
fn ends(steps: &[f64]) -> (f64, f64) {
    let from = steps.iter().copied().fold(f64::INFINITY, f64::min);
    let to = steps.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if from < to { (from, to) } else { (to - 1.0, to) }
}

/// Colour and dashes of a series.
fn class(k: usize) -> String {
    format!("series c{} d{}", k % COLOURS, k / COLOURS % DASHES)
}

/// Left edge and row of each text.
fn legend_places(texts: &[String]) -> Vec<(f64, f64)> {
    let (left, right) = (56.0, 946.0);
    let (mut x, mut row) = (left, 0.0);
    texts
        .iter()
        .map(|text| {
            let width = 30.0 + text_width(text);
            if x + width > right && x > left {
                (x, row) = (left, row + 1.0);
            }
            let place = (x, row);
            x += width + 18.0;
            place
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roxmltree::{Document, Node};
    use serde_json::json;

    fn with_class<'a>(document: &'a Document, class: &str) -> Vec<Node<'a, 'a>> {
        let has = |n: &Node| n.attribute("class").is_some_and(|c| c.split(' ').any(|c| c == class));
        document.descendants().filter(has).collect()
    }

    fn corners(polyline: &Node) -> Vec<(f64, f64)> {
        let corner = |text: &str| {
            let (x, y) = text.split_once(',').unwrap();
            (x.parse().unwrap(), y.parse().unwrap())
        };
        polyline.attribute("points").unwrap().split(' ').map(corner).collect()
    }

    fn text_of(document: &Document) -> String {
        document.descendants().filter(Node::is_text).filter_map(|n| n.text()).collect()
    }

    /// A run whose losses fall from about 1 with noise.
    fn run(steps: usize, names: &[&str]) -> Vec<Value> {
        (1..=steps)
            .map(|step| {
                let mut line = json!({ "step": step, "seconds": 3.5 });
                for (k, name) in names.iter().enumerate() {
                    let noise = ((step * 7919 + k * 104729) % 1000) as f64 / 1000.0 - 0.5;
                    let mean = 0.04 * (k + 1) as f64 + 0.9 * (-(step as f64) / 0.1 / steps as f64).exp();
                    line[*name] = json!(mean * (1.0 + 0.4 * noise));
                }
                line
            })
            .collect()
    }

    #[test]
    fn every_value_is_in_the_plot_and_nothing_else() {
        let names = ["loss", "loss.exit1", "loss.exit2", "loss.exit10"];
        let mut lines = run(500, &names);
        for line in &mut lines {
            line["lossless"] = json!(3.0);
            line["lr"] = json!(1e-4);
        }
        lines.push(json!({ "event": "resumed" }));
        lines.push(json!({ "step": 501, "loss": null }));
        let svg = loss_svg(&lines, "a run");
        let document = Document::parse(&svg).unwrap();
        let raw = with_class(&document, "raw");
        assert_eq!(raw.len(), names.len());
        for line in &raw {
            let corners = corners(line);
            assert_eq!(corners.len(), 500);
            assert!(corners.windows(2).all(|w| w[0].0 < w[1].0));
            assert!(corners.iter().all(|(x, y)| (56.0..=946.0).contains(x) && (58.0..=432.0).contains(y)));
        }
        // In the legend's order, as a person sorts them.
        let text = text_of(&document);
        let at = |name: &str| text.rfind(&format!("{name} ")).unwrap();
        assert!(at("loss.exit1") < at("loss.exit2") && at("loss.exit2") < at("loss.exit10"), "{text}");
        assert!(text.contains("a run") && text.contains("log scale") && !text.contains("lossless"));
        assert_eq!(with_class(&document, "smooth").len(), 2 * names.len());
    }

    #[test]
    fn the_smoothed_line_is_less_rough_and_as_high() {
        let values: Vec<(f64, f64)> =
            (0..1000).map(|k| (k as f64, 2.0 + ((k * 7919 % 1000) as f64 / 1000.0 - 0.4995))).collect();
        let smooth = smoothed(&values);
        let spread = |points: &[(f64, f64)]| {
            points.iter().map(|p| (p.1 - 2.0).powi(2)).sum::<f64>() / points.len() as f64
        };
        assert!(spread(&smooth) < 0.2 * spread(&values));
        assert_eq!((smooth[0].0, smooth.last().unwrap().0), (0.0, 999.0));
        assert!(smoothed(&[(0.0, 3.0); 50]).iter().all(|p| p.1 == 3.0));
    }

    #[test]
    fn short_runs_are_drawn_as_they_are() {
        for steps in [1, 2, FEW - 1] {
            let svg = loss_svg(&run(steps, &["loss"]), "a <young> run & \"more\"");
            let document = Document::parse(&svg).unwrap();
            assert_eq!(document.descendants().filter(|n| n.has_tag_name("circle")).count(), steps);
            assert!(with_class(&document, "raw").is_empty());
            assert!(text_of(&document).contains("a <young> run & \"more\""));
        }
    }

    #[test]
    fn a_run_without_losses_says_so() {
        for lines in [vec![], vec![json!({ "step": 3 })], vec![json!(7)], vec![json!({ "loss": 1.0 })]] {
            let svg = loss_svg(&lines, "nothing");
            assert!(text_of(&Document::parse(&svg).unwrap()).contains("no losses yet"));
        }
    }

    proptest! {
        #[test]
        fn no_values_break_it(values in prop::collection::vec((any::<u32>(), any::<f64>()), 0..90)) {
            let lines: Vec<Value> =
                values.iter().map(|(step, loss)| json!({ "step": step, "loss": loss, "loss.b": -loss })).collect();
            let svg = loss_svg(&lines, "any");
            let document = Document::parse(&svg).unwrap();
            prop_assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", svg);
            prop_assert!(!with_class(&document, "title").is_empty());
        }
    }
}
