//! What surrounds a plot: grid, ticks, the axes' names.

use maud::{Markup, html};

use super::{Scale, px};

/// The area that data are drawn in, and its surroundings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    pub width: f64,
    pub height: f64,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    pub x_ticks: usize,
    pub y_ticks: usize,
}

impl Frame {
    /// Left to right.
    pub fn x_range(&self) -> (f64, f64) {
        (self.left, self.width - self.right)
    }

    /// Bottom to top.
    pub fn y_range(&self) -> (f64, f64) {
        (self.height - self.bottom, self.top)
    }

    /// Grid lines and tick texts, and the names of both axes: y's above its axis, x's below the middle.
    pub fn axes(&self, x: &Scale, y: &Scale, x_name: &str, y_name: &str) -> Markup {
        let (left, right) = self.x_range();
        let (bottom, top) = self.y_range();
        html! {
            g.axes aria-hidden="true" {
                @for (value, text) in y.ticks(self.y_ticks) {
                    @let at = y.at(value);
                    line.grid x1=(px(left)) x2=(px(right)) y1=(px(at)) y2=(px(at)) {}
                    text.tick x=(px(left - 8.0)) y=(px(at + 4.0)) text-anchor="end" { (text) }
                }
                line.axis x1=(px(left)) x2=(px(right)) y1=(px(bottom)) y2=(px(bottom)) {}
                @for (value, text) in x.ticks(self.x_ticks) {
                    @let at = x.at(value);
                    line.axis x1=(px(at)) x2=(px(at)) y1=(px(bottom)) y2=(px(bottom + 4.0)) {}
                    text.tick x=(px(at)) y=(px(bottom + 19.0)) text-anchor="middle" { (text) }
                }
                text.axis-name x="0" y=(px(top - 18.0)) { (y_name) @if y.is_log() { " (log scale)" } }
                text.axis-name x=(px(right)) y=(px(bottom + 40.0)) text-anchor="end" {
                    (x_name) @if x.is_log() { " (log scale)" }
                }
            }
        }
    }
}
