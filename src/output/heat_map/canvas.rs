//! A picture under way: rectangles and lines of text on paper.

use image::{Rgb, RgbImage};

use super::font::{HEIGHT, WIDTH, glyph};
use crate::output::Pixels;

/// Which part of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Left,
    Middle,
    Right,
}

/// What is outside the picture is not drawn.
pub struct Canvas(RgbImage);

impl Canvas {
    /// Empty paper of a colour.
    pub fn new(width: u32, height: u32, paper: [u8; 3]) -> Self {
        Self(RgbImage::from_pixel(width, height, Rgb(paper)))
    }

    /// A rectangle, its corner at (`x`, `y`), y downwards.
    pub fn fill(&mut self, [x, y]: [u32; 2], [width, height]: [u32; 2], color: [u8; 3]) {
        for y in y..y.saturating_add(height).min(self.0.height()) {
            for x in x..x.saturating_add(width).min(self.0.width()) {
                self.0.put_pixel(x, y, Rgb(color));
            }
        }
    }

    /// A line of text, its top at `y`.
    pub fn text(&mut self, [x, y]: [u32; 2], anchor: Anchor, text: &str, color: [u8; 3]) {
        let width = text_width(text);
        let mut left = match anchor {
            Anchor::Left => x,
            Anchor::Middle => x.saturating_sub(width / 2),
            Anchor::Right => x.saturating_sub(width),
        };
        for letter in text.chars() {
            for (row, bits) in (0..HEIGHT).zip(glyph(letter)) {
                for column in (0..WIDTH).filter(|column| bits >> (WIDTH - 1 - column) & 1 == 1) {
                    self.fill([left.saturating_add(column), y.saturating_add(row)], [1, 1], color);
                }
            }
            left = left.saturating_add(WIDTH);
        }
    }

    /// The finished picture, `[H, W, 3]`.
    pub fn into_pixels(self) -> Pixels {
        let shape = [self.0.height() as usize, self.0.width() as usize, 3];
        Pixels { shape, data: self.0.into_raw() }
    }
}

/// How wide a line of text is.
pub fn text_width(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX).saturating_mul(WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the ink is, as the picture's rows.
    fn shown(canvas: Canvas) -> Vec<String> {
        let Pixels { shape, data } = canvas.into_pixels();
        let ink = |pixel: &[u8]| if pixel == [0; 3] { '#' } else { '.' };
        data.chunks(3 * shape[1]).map(|row| row.chunks(3).map(ink).collect()).collect()
    }

    #[test]
    fn letters_stand_upright_and_the_right_way_round() {
        let mut canvas = Canvas::new(WIDTH, HEIGHT, [255; 3]);
        canvas.text([0, 0], Anchor::Left, "4", [0; 3]);
        let four = [
            ".........",
            "......#..",
            ".....##..",
            "....#.#..",
            "...#..#..",
            "..#...#..",
            ".#....#..",
            ".#######.",
            "......#..",
            "......#..",
            "......#..",
        ];
        assert_eq!(shown(canvas)[..four.len()], four);
    }

    #[test]
    fn texts_end_where_they_are_anchored_and_nothing_leaves_the_picture() {
        let drawn = |x, anchor, text: &str| {
            let mut canvas = Canvas::new(40, HEIGHT, [255; 3]);
            canvas.text([x, 0], anchor, text, [0; 3]);
            shown(canvas)
        };
        assert_eq!(drawn(30, Anchor::Right, "12"), drawn(12, Anchor::Left, "12"));
        assert_eq!(drawn(21, Anchor::Middle, "12"), drawn(12, Anchor::Left, "12"));
        // A minus and a times sign are drawn, another script's letter is a question mark.
        assert_eq!(drawn(0, Anchor::Left, "−×é"), drawn(0, Anchor::Left, "-x?"));
        drawn(u32::MAX, Anchor::Left, "12");
        let mut canvas = Canvas::new(2, 2, [255; 3]);
        canvas.fill([1, 1], [u32::MAX, u32::MAX], [0; 3]);
        assert_eq!(shown(canvas), ["..", ".#"]);
    }
}
