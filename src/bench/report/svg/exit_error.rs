//! The error of every exit against time, on a logarithmic axis.

use maud::{Markup, html};

use super::figure::Size;
use super::labels::spread_out;
use crate::bench::ExitErrors;
use crate::bench::report::number::{count, significant};
use crate::plot::{Frame, Scale, px};

/// One line an exit, pale for the first to strong for the last.
pub fn plot(errors: &ExitErrors, size: Size) -> Markup {
    let frame = Frame::figure(size, 62.0);
    let exits: Vec<(usize, Vec<(f64, f64)>)> =
        (0..errors.blocks).map(|exit| (exit, line(errors, exit))).filter(|(_, l)| !l.is_empty()).collect();
    let all: Vec<f64> = exits.iter().flat_map(|(_, l)| l.iter().map(|p| p.1)).collect();
    let Some(y) = Scale::log(&all, frame.y_range()) else {
        return html! { p.note { "No exit has an error above zero." } };
    };
    let times = || exits.iter().flat_map(|(_, l)| l.iter().map(|p| p.0));
    let (early, late) = (times().fold(0.0, f64::max), times().fold(f64::INFINITY, f64::min));
    let late = if late < early { late } else { early - 1.0 };
    let x = Scale::linear((early, late), frame.x_range());
    let ends: Vec<f64> = exits.iter().map(|(_, l)| y.at(l.last().map_or(1.0, |p| p.1))).collect();
    let heights = spread_out(&ends, 13.5, (frame.top, frame.height - frame.bottom));
    let described = format!(
        "Mean square error of {} exits of {} against time, {} images.",
        exits.len(),
        errors.weights,
        count(errors.n)
    );
    frame.svg(size, &described, html! {
        (axes(&frame, &x, &y, early, late))
        @for (exit, l) in &exits {
            @let path = l.iter().map(|(t, e)| format!("{},{}", px(x.at(*t)), px(y.at(*e)))).collect::<Vec<_>>().join(" ");
            g.exit style=(colours(*exit, errors.blocks)) {
                polyline.exit-line points=(path) {}
                @for (t, e) in l {
                    g {
                        title { (told(errors, *exit, *t, *e)) }
                        circle.hit cx=(px(x.at(*t))) cy=(px(y.at(*e))) r="6" {}
                        circle cx=(px(x.at(*t))) cy=(px(y.at(*e))) r="2" {}
                    }
                }
            }
        }
        g aria-hidden="true" {
            @for ((exit, _), (end, height)) in exits.iter().zip(ends.iter().zip(&heights)) {
                @let right = frame.x_range().1;
                g.exit style=(colours(*exit, errors.blocks)) {
                    line.exit-leader x1=(px(right + 4.0)) y1=(px(*end)) x2=(px(right + 14.0)) y2=(px(*height)) {}
                }
                text.tick x=(px(right + 18.0)) y=(px(height + 4.0)) { @if *exit == exits[0].0 { "exit " } (exit + 1) }
            }
        }
    })
}

/// What a pointer or a screen reader is told of a point.
fn told(errors: &ExitErrors, exit: usize, t: f64, error: f64) -> String {
    let row = errors.t.iter().position(|other| *other == t);
    let spread = row.and_then(|row| errors.spread.get(row)?.get(exit)).filter(|spread| spread.is_finite());
    let spread =
        spread.map_or(String::new(), |s| format!(", standard deviation {} over images", significant(*s, 2)));
    format!("exit after block {}, t = {}: {}{spread}", exit + 1, significant(t, 3), significant(error, 2))
}

/// (t, error) of one exit from noise to image; exact exits have no place on a logarithmic axis.
fn line(errors: &ExitErrors, exit: usize) -> Vec<(f64, f64)> {
    let mut line: Vec<(f64, f64)> = errors
        .t
        .iter()
        .zip(&errors.error)
        .filter_map(|(t, by_exit)| by_exit.get(exit).map(|e| (*t, *e)))
        .filter(|(t, e)| t.is_finite() && e.is_finite() && *e > 0.0)
        .collect();
    line.sort_by(|a, b| b.0.total_cmp(&a.0));
    line
}

fn axes(frame: &Frame, x: &Scale, y: &Scale, early: f64, late: f64) -> Markup {
    let (left, right) = frame.x_range();
    let bottom = frame.y_range().0;
    // Time runs against the numbers, so the scale's own ticks would be none.
    let ticks = Scale::linear((late, early), (0.0, 1.0)).ticks(frame.x_ticks);
    html! {
        g.axes aria-hidden="true" {
            @for (value, text) in y.ticks(frame.y_ticks) {
                line.grid x1=(px(left)) x2=(px(right)) y1=(px(y.at(value))) y2=(px(y.at(value))) {}
                text.tick x=(px(left - 8.0)) y=(px(y.at(value) + 4.0)) text-anchor="end" { (text) }
            }
            line.axis x1=(px(left)) x2=(px(right)) y1=(px(bottom)) y2=(px(bottom)) {}
            @for (value, text) in ticks {
                line.axis x1=(px(x.at(value))) x2=(px(x.at(value))) y1=(px(bottom)) y2=(px(bottom + 4.0)) {}
                text.tick x=(px(x.at(value))) y=(px(bottom + 19.0)) text-anchor="middle" { (text) }
            }
            text.axis-name x="0" y=(px(frame.top - 18.0)) { "↓ mean square error (log scale)" }
            text.axis-name x=(px(left)) y=(px(bottom + 40.0)) { "noise" }
            text.axis-name x=(px(right)) y=(px(bottom + 40.0)) text-anchor="end" { "time t, to the image →" }
        }
    }
}

/// The colours of an exit in light and dark, as custom properties: one hue, the deeper the exit the stronger
/// it stands out from the page.
pub fn colours(exit: usize, blocks: usize) -> String {
    let share = exit as f64 / (blocks.max(2) - 1) as f64;
    let mix = |from: [f64; 3], middle: [f64; 3], to: [f64; 3]| {
        let (a, b, s) =
            if share < 0.5 { (from, middle, 2.0 * share) } else { (middle, to, 2.0 * share - 1.0) };
        let c: Vec<String> =
            (0..3).map(|k| format!("{:02x}", (a[k] + s * (b[k] - a[k])).round() as u8)).collect();
        format!("#{}", c.concat())
    };
    let light = mix([232.0, 160.0, 64.0], [190.0, 72.0, 110.0], [52.0, 26.0, 110.0]);
    let dark = mix([120.0, 84.0, 190.0], [226.0, 104.0, 130.0], [255.0, 226.0, 150.0]);
    format!("--light:{light};--dark:{dark}")
}
