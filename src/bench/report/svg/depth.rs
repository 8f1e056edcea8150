//! Depth against time: one small panel a row, all on the same axes.

use maud::{Markup, html};

use super::marker;
use crate::bench::family::Family;
use crate::bench::report::number::{fixed, significant};
use crate::bench::{AtTime, Row};
use crate::plot::{Scale, px};

/// Whether a row's depth is worth a panel: it was recorded, and is not every block always.
pub fn varies(row: &Row) -> bool {
    let blocks = row.depth.as_ref().map(|d| d.blocks as f64);
    let points = finite(row);
    !points.is_empty() && points.iter().any(|p| Some(p.depth) != blocks || p.deviation > 0.0)
}

fn finite(row: &Row) -> Vec<AtTime> {
    let mut points: Vec<AtTime> = row
        .by_time
        .iter()
        .copied()
        .filter(|p| p.t.is_finite() && p.depth.is_finite() && p.deviation.is_finite())
        .collect();
    // Noise first, as the sampler goes.
    points.sort_by(|a, b| b.t.total_cmp(&a.t));
    points
}

const WIDTH: f64 = 220.0;
const HEIGHT: f64 = 118.0;

/// Steps of mean depth, each from its evaluation's time to the next one's, and the band of one standard
/// deviation over images. `most_t` is the time at the left edge.
pub fn panel(row: &Row, name: &str, most_t: f64) -> Markup {
    let points = finite(row);
    let blocks = row.depth.as_ref().map_or(0.0, |d| d.blocks as f64);
    let blocks = points.iter().map(|p| p.depth).fold(blocks.max(1.0), f64::max);
    let x = Scale::linear((most_t.max(f64::MIN_POSITIVE), 0.0), (24.0, WIDTH - 4.0));
    let y = Scale::linear((0.0, blocks), (HEIGHT - 20.0, 8.0));
    // Until when an evaluation's depth is drawn.
    let until = |k: usize| points.get(k + 1).map_or(0.0, |next| next.t);
    let edge = |of: &dyn Fn(&AtTime) -> f64| -> Vec<String> {
        let corners = points.iter().enumerate().flat_map(|(k, p)| {
            let at = px(y.at(of(p).clamp(0.0, blocks)));
            [format!("{},{at}", px(x.at(p.t))), format!("{},{at}", px(x.at(until(k))))]
        });
        corners.collect()
    };
    let mean = edge(&|p| p.depth).join(" ");
    let mut band = edge(&|p| p.depth + p.deviation);
    band.extend(edge(&|p| p.depth - p.deviation).into_iter().rev());
    let has_band = points.iter().any(|p| p.deviation > 0.0);
    let class = marker::class(Family::of(&row.role));
    let described = format!(
        "{name}: mean depth by time, from noise to image: {}",
        points.iter().map(|p| significant(p.depth, 3)).collect::<Vec<_>>().join(", ")
    );
    html! {
        svg.panel viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(described) {
            g.axes aria-hidden="true" {
                @for value in [0.0, 0.5 * blocks, blocks] {
                    line.grid x1="24" x2=(px(WIDTH - 4.0)) y1=(px(y.at(value))) y2=(px(y.at(value))) {}
                    text.tick x="18" y=(px(y.at(value) + 4.0)) text-anchor="end" { (significant(value, 2).trim_end_matches(".0")) }
                }
                text.tick x="24" y=(px(HEIGHT - 5.0)) { "noise" }
                text.tick x=(px(WIDTH - 4.0)) y=(px(HEIGHT - 5.0)) text-anchor="end" { "image" }
            }
            @if has_band { polygon class=(format!("band {class}")) points=(band.join(" ")) {} }
            polyline class=(format!("steps {class}")) points=(mean) {}
            @for (k, p) in points.iter().enumerate() {
                @let (from, to) = (x.at(p.t), x.at(until(k)));
                rect.hit x=(px(from)) y="0" width=(px((to - from).max(0.0))) height=(px(HEIGHT - 20.0)) {
                    title { "t = " (significant(p.t, 3)) ": depth " (fixed(p.depth, 2)) " ± " (fixed(p.deviation, 2)) }
                }
            }
        }
    }
}
