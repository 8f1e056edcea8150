//! The front as a drawing of its own, for a README: its style, its ground and a legend are in it.

use maud::{Markup, PreEscaped, html};

use super::figure::Size;
use super::front::{content, described};
use super::{STYLE, marker};
use crate::bench::family::Family;
use crate::bench::report::comparison::Comparison;
use crate::plot::{Frame, px, text_width};

/// A legend's height, and the room around the whole.
const LEGEND: f64 = 30.0;
const MARGIN: f64 = 16.0;

/// An SVG document, light or dark as the reader's system is.
pub fn front(comparison: &Comparison, names: &[String]) -> Markup {
    let frame = Frame::figure(Size::Wide, 14.0);
    let (width, height) = (frame.width + 2.0 * MARGIN, frame.height + LEGEND + 2.0 * MARGIN);
    let view = format!("{} {} {} {}", px(-MARGIN), px(-MARGIN), px(width), px(height));
    let mut x = frame.left;
    let mut legend = vec![];
    for family in Family::ALL {
        if comparison.points.iter().any(|p| p.family == family) {
            legend.push((family, x));
            x += text_width(family.name()) + 36.0;
        }
    }
    let y = frame.height + LEGEND / 2.0;
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(view) width=(px(width)) height=(px(height))
            role="img" aria-label=(described(comparison, names)) {
            style { (PreEscaped(STYLE)) }
            rect.ground x=(px(-MARGIN)) y=(px(-MARGIN)) width=(px(width)) height=(px(height)) {}
            (content(comparison, names, &frame))
            @for (family, x) in legend {
                path class=(format!("mark {}", marker::class(family))) d=(marker::path(family, x, y)) {}
                text x=(px(x + 12.0)) y=(px(y + 4.0)) { (family.name()) }
            }
            text x=(px(frame.width - frame.right)) y=(px(y + 4.0)) text-anchor="end" { "filled: on the front" }
        }
    }
}
