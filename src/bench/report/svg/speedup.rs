//! The speed-up that was measured against the one that the saved blocks predict.

use maud::{Markup, html};

use super::figure::Size;
use super::labels::{HEIGHT, Rect};
use super::mark_labels::{Mark, along, draw, labels, leaders};
use super::marker;
use crate::bench::family::Family;
use crate::bench::report::number::{fixed, significant};
use crate::bench::{Row, Spread};
use crate::plot::{Frame, Scale, px, text_width};

/// Rows with both numbers: (row, predicted, measured).
pub fn rows(rows: &[Row]) -> Vec<(usize, f64, Spread)> {
    let both = |(k, row): (usize, &Row)| {
        let speed = row.speed.as_ref().filter(|_| row.error.is_none())?;
        let (predicted, measured) = (speed.predicted_speedup?, speed.speedup?);
        let all = [predicted, measured.least, measured.median, measured.most];
        all.iter().all(|v| v.is_finite() && *v > 0.0).then_some((k, predicted, measured))
    };
    rows.iter().enumerate().filter_map(both).collect()
}

/// The rows, and the diagonal on which every saved block saved its time.
pub fn plot(all: &[Row], names: &[String], size: Size) -> Markup {
    let rows = rows(all);
    let frame = Frame::figure(size, 14.0);
    let values: Vec<f64> = rows.iter().flat_map(|(_, p, m)| [*p, m.least, m.most]).collect();
    let (x, y) = (Scale::fit(&values, frame.x_range()), Scale::fit(&values, frame.y_range()));
    let family = |k: usize| Family::of(&all[k].role);
    let marks: Vec<Mark> = rows
        .iter()
        .map(|(k, p, m)| Mark { x: x.at(*p), y: y.at(m.median), row: *k, family: family(*k) })
        .collect();
    let ends =
        (values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(0.0, f64::max));
    let text = "r = 1: as predicted";
    let end = (x.at(ends.1), y.at(ends.1));
    let diagonal =
        Rect { x: end.0 - 24.0 - text_width(text), y: end.1 - 4.0, w: text_width(text), h: HEIGHT };
    let soft: Vec<Rect> = along((x.at(ends.0), y.at(ends.0)), end).collect();
    let labels = labels(&marks, names, &frame, &soft, &[diagonal]);
    let described = format!("Measured against predicted speed-up of {} rows.", rows.len());
    frame.svg(size, &described, html! {
        (frame.axes(&x, &y, "predicted speed-up, × →", "↑ measured speed-up, ×"))
        line.diagonal x1=(px(x.at(ends.0))) y1=(px(y.at(ends.0))) x2=(px(end.0)) y2=(px(end.1)) {}
        text.floor-name x=(px(diagonal.x + diagonal.w)) y=(px(diagonal.y + 11.5)) text-anchor="end" { (text) }
        (leaders(&labels))
        @for (k, predicted, measured) in &rows {
            @let (at, family) = (x.at(*predicted), family(*k));
            line class=(format!("bar {}", marker::class(family))) aria-hidden="true"
                x1=(px(at)) x2=(px(at)) y1=(px(y.at(measured.least))) y2=(px(y.at(measured.most))) {}
            g.point {
                title {
                    "row " (k + 1) ", " (names[*k]) ": predicted " (fixed(*predicted, 2)) "×, measured "
                    (fixed(measured.median, 2)) "× (" (fixed(measured.least, 2)) " … " (fixed(measured.most, 2)) "), r "
                    (significant(measured.median / predicted, 3))
                }
                circle.hit cx=(px(at)) cy=(px(y.at(measured.median))) r="14" {}
                path class=(format!("mark {}", marker::class(family))) d=(marker::path(family, at, y.at(measured.median))) {}
            }
        }
        (draw(&labels))
    })
}
