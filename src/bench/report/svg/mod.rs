//! Plots as inline SVG. Colours are CSS classes, so that one document serves light and dark; every mark has
//! a title that a pointer or a screen reader reads.

mod depth;
mod exit_error;
mod figure;
mod front;
mod labels;
mod mark_labels;
mod marker;
mod speedup;
mod standalone;

pub use depth::{panel as depth_panel, varies};
pub use exit_error::{colours as exit_colours, plot as exit_error_plot};
pub use figure::Size;
pub use front::plot as front_plot;
pub use marker::swatch;
pub use speedup::{plot as speedup_plot, rows as speedup_rows};
pub use standalone::front as standalone_front;

/// Colours, and how plots look: what both a page and a drawing of its own need.
pub const STYLE: &str = concat!(include_str!("../../../plot/plot.css"), include_str!("marks.css"));

/// A text that fits, its end cut off if it must be.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(most - 1).collect::<String>().trim_end())
}
