//! Images a second against a distance: the further right and down, the better.

use maud::{Markup, html};

use super::figure::Size;
use super::labels::{HEIGHT, Rect};
use super::mark_labels::{Mark, along, draw, labels, leaders};
use super::marker;
use crate::bench::family::Family;
use crate::bench::report::comparison::{Comparison, Point};
use crate::bench::report::measure::Measure;
use crate::bench::report::number::{count, significant};
use crate::plot::{Frame, Scale, px, text_width};

/// Rows as marks, filled where no other row is both faster and better; a line through each family's own
/// front; the floor of real images.
pub fn plot(comparison: &Comparison, names: &[String], size: Size) -> Markup {
    let frame = Frame::figure(size, 14.0);
    frame.svg(size, &described(comparison, names), content(comparison, names, &frame))
}

/// The plot in words.
pub fn described(comparison: &Comparison, names: &[String]) -> String {
    format!(
        "{} rows by images a second and {}, N = {}. On the front: {}.",
        comparison.points.len(),
        comparison.measure.described(),
        count(comparison.n),
        comparison.front().iter().map(|p| names[p.row].as_str()).collect::<Vec<_>>().join(", ")
    )
}

/// What is in the plot.
pub fn content(comparison: &Comparison, names: &[String], frame: &Frame) -> Markup {
    let points = &comparison.points;
    let mut xs = vec![];
    for p in points {
        xs.extend([p.speed.least, p.speed.most]);
    }
    let x = Scale::fit(&xs, frame.x_range());
    let y = y_scale(comparison, frame);
    let front = comparison.front();
    let short = comparison.measure.short();

    let bars: Vec<Bar> = points.iter().flat_map(|p| bars(p, &x, &y)).collect();
    let floor = comparison.floor.map(|floor| {
        let value = significant(floor, 2);
        if y.holds(floor) {
            (y.at(floor), format!("floor: real images, {value}"))
        } else {
            (frame.y_range().0, format!("floor, below the axis: real images, {value}"))
        }
    });
    let floor_label = floor.as_ref().map(|(at, text)| {
        // Below the line, unless that is under the axis.
        let top = if at + 18.0 < frame.y_range().0 { at + 3.0 } else { at - 17.0 };
        Rect { x: frame.x_range().1 - text_width(text), y: top, w: text_width(text), h: HEIGHT }
    });
    let path = |points: &[Point]| -> Vec<(f64, f64)> {
        points.iter().map(|p| (x.at(p.speed.median), y.at(p.judged.value))).collect()
    };
    let mut lines = vec![path(&front)];
    lines.extend(Family::ALL.map(|family| path(&comparison.front_of(family))));
    let mut soft: Vec<Rect> = bars.iter().map(Bar::rect).collect();
    for path in &lines {
        soft.extend(path.windows(2).flat_map(|ends| along(ends[0], ends[1])));
    }
    let marks: Vec<Mark> = points
        .iter()
        .map(|p| Mark { x: x.at(p.speed.median), y: y.at(p.judged.value), row: p.row, family: p.family })
        .collect();
    let labels = labels(&marks, names, frame, &soft, floor_label.as_slice());

    let y_name = match comparison.measure {
        Measure::Rmse => "↓ RMSE to full depth".to_owned(),
        _ => format!("↓ {short}, N = {}", count(comparison.n)),
    };
    html! {
        (frame.axes(&x, &y, "images/s →", &y_name))
        @if let (Some((at, text)), Some(label)) = (&floor, &floor_label) {
            @if comparison.floor.is_some_and(|floor| y.holds(floor)) { line.floor x1=(px(frame.x_range().0)) x2=(px(frame.x_range().1)) y1=(px(*at)) y2=(px(*at)) {} }
            text.floor-name x=(px(label.x + label.w)) y=(px(label.y + 11.5)) text-anchor="end" { (text) }
        }
        (line("whole-front", &lines[0]))
        @for (family, path) in Family::ALL.into_iter().zip(&lines[1..]) {
            (line(&format!("family-front {}", marker::class(family)), path))
        }
        g aria-hidden="true" {
            @for bar in &bars {
                line class=(format!("bar {}", marker::class(bar.family)))
                    x1=(px(bar.from.0)) y1=(px(bar.from.1)) x2=(px(bar.to.0)) y2=(px(bar.to.1)) {}
            }
        }
        (leaders(&labels))
        @for p in points {
            @let on_front = front.iter().any(|f| f.row == p.row);
            g.point {
                title { (told(p, names, short)) }
                circle.hit cx=(px(x.at(p.speed.median))) cy=(px(y.at(p.judged.value))) r="14" {}
                path class=(format!("mark {}{}", marker::class(p.family), if on_front { "" } else { " hollow" }))
                    d=(marker::path(p.family, x.at(p.speed.median), y.at(p.judged.value))) {}
            }
        }
        (draw(&labels))
    }
}

/// Linear from the floor, or logarithmic where rows are far apart. Where a linear axis down to the floor would
/// press the rows together, or a logarithmic one would be mostly empty, the floor is left below.
fn y_scale(comparison: &Comparison, frame: &Frame) -> Scale {
    let values: Vec<f64> = comparison.points.iter().map(|p| p.judged.value).collect();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let intervals = || comparison.points.iter().filter_map(|p| p.judged.interval);
    if comparison.measure != Measure::Rmse {
        let log = Scale::fit(&values, frame.y_range());
        if log.is_log() {
            let mut shown: Vec<f64> =
                intervals().flat_map(|(low, high)| [low.max(least / 1.6), high]).collect();
            shown.extend(values);
            shown.extend(comparison.floor.filter(|floor| *floor > least / 3.0));
            return Scale::log(&shown, frame.y_range()).unwrap_or(log);
        }
    }
    let mut shown: Vec<f64> = intervals().flat_map(|(low, high)| [low, high]).collect();
    shown.extend(values);
    shown.extend(comparison.floor.filter(|floor| most - least >= 0.3 * (most - floor)));
    Scale::fit_linear(&shown, frame.y_range())
}

/// What a pointer or a screen reader is told of a row.
fn told(p: &Point, names: &[String], measure: &str) -> String {
    let interval = p.judged.interval.map_or(String::new(), |(low, high)| {
        format!(" (95 %: {} … {})", significant(low, 3), significant(high, 3))
    });
    format!(
        "row {}, {}: {} images/s ({} … {}), {measure} {}{interval}",
        p.row + 1,
        names[p.row],
        significant(p.speed.median, 4),
        significant(p.speed.least, 4),
        significant(p.speed.most, 4),
        significant(p.judged.value, 4),
    )
}

/// An error bar.
struct Bar {
    family: Family,
    from: (f64, f64),
    to: (f64, f64),
}

impl Bar {
    fn rect(&self) -> Rect {
        let (x, y) = (self.from.0.min(self.to.0), self.from.1.min(self.to.1));
        Rect {
            x: x - 1.0,
            y: y - 1.0,
            w: (self.from.0 - self.to.0).abs() + 2.0,
            h: (self.from.1 - self.to.1).abs() + 2.0,
        }
    }
}

fn bars(p: &Point, x: &Scale, y: &Scale) -> Vec<Bar> {
    let (at, value) = (x.at(p.speed.median), y.at(p.judged.value));
    let mut bars =
        vec![Bar { family: p.family, from: (x.at(p.speed.least), value), to: (x.at(p.speed.most), value) }];
    if let Some((low, high)) = p.judged.interval {
        let (from, to) = ((at, y.at(y.clamp(low))), (at, y.at(y.clamp(high))));
        bars.push(Bar { family: p.family, from, to });
    }
    bars
}

fn line(class: &str, path: &[(f64, f64)]) -> Markup {
    let corners: Vec<String> = path.iter().map(|(x, y)| format!("{},{}", px(*x), px(*y))).collect();
    html! { @if corners.len() > 1 { polyline class=(class) points=(corners.join(" ")) {} } }
}
