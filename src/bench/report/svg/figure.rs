//! A plot as a figure of a page.

use maud::{Markup, html};

use crate::plot::{Frame, px};

/// The size of a plot. Every plot is drawn twice, and a page's style sheet shows the one that fits the screen:
/// text keeps its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Wide,
    Narrow,
}

impl Size {
    pub const BOTH: [Size; 2] = [Size::Wide, Size::Narrow];

    /// The style sheet's class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }
}

impl Frame {
    /// A plot for a figure of its own.
    pub fn figure(size: Size, right: f64) -> Self {
        let (width, height, x_ticks, y_ticks) = match size {
            Size::Wide => (960.0, 480.0, 9, 6),
            Size::Narrow => (400.0, 420.0, 5, 6),
        };
        Self { width, height, left: 48.0, right, top: 34.0, bottom: 48.0, x_ticks, y_ticks }
    }

    /// The drawing, with what it shows in words for those who cannot see it.
    pub fn svg(&self, size: Size, described: &str, content: Markup) -> Markup {
        html! {
            svg class=(format!("plot {}", size.class())) viewBox=(format!("0 0 {} {}", px(self.width), px(self.height)))
                role="img" aria-label=(described) {
                (content)
            }
        }
    }
}
