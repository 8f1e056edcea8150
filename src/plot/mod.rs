//! What plots are made of: scales, a frame of axes, numbers as texts. A plot is SVG whose colours are CSS classes,
//! so that one document serves light and dark.

mod frame;
pub mod number;
mod scale;

pub use frame::Frame;
pub use scale::Scale;

/// A coordinate to a tenth of a unit.
pub fn px(x: f64) -> String {
    let text = format!("{x:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// How wide a text of the plots is, a little over-estimated: browsers choose the font.
pub fn text_width(text: &str) -> f64 {
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
