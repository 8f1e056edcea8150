//! Plots as inline SVG. Colours are CSS classes, so that one document serves light and dark; every mark has
//! a title that a pointer or a screen reader reads.

mod depth;
mod exit_error;
mod frame;
mod front;
mod labels;
mod mark_labels;
mod marker;
mod scale;
mod speedup;
mod standalone;

pub use depth::{panel as depth_panel, varies};
pub use exit_error::{colours as exit_colours, plot as exit_error_plot};
pub use front::plot as front_plot;
pub use marker::swatch;
pub use speedup::{plot as speedup_plot, rows as speedup_rows};
pub use standalone::front as standalone_front;

/// Colours, and how plots look: what both a page and a drawing of its own need.
pub const STYLE: &str = include_str!("plot.css");

/// The size of a plot. Every plot is drawn twice, and the style sheet shows the one that fits the screen:
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

/// A coordinate to a tenth of a unit.
fn px(x: f64) -> String {
    let text = format!("{x:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// How wide a text of the plots is, a little over-estimated: browsers choose the font.
fn text_width(text: &str) -> f64 {
    const EM: f64 = 12.5;
    let em = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | ' ' | '.' | ',' | ':' | '(' | ')' | '|' | '\'' => 0.34,
        'm' | 'w' | 'M' | 'W' | '@' => 0.88,
        'A'..='Z' | '%' | '+' | '×' => 0.7,
        c if c.is_ascii() => 0.57,
        // Any other script's letters may fill their square.
        _ => 1.0,
    };
    EM * text.chars().map(em).sum::<f64>()
}

/// A text that fits, its end cut off if it must be.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(most - 1).collect::<String>().trim_end())
}
