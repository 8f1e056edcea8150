//! Colours and strokes: the few shapes that the scene is made of.

use tiny_skia::{
    Color, FillRule, GradientStop, LineCap, LinearGradient, Paint, Path, PathBuilder, Pixmap, Point,
    PremultipliedColorU8, RadialGradient, Rect, Shader, SpreadMode, Stroke, Transform,
};

/// A colour, opaque until it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    /// This colour and `share` of another.
    pub fn mix(self, other: Rgb, share: f32) -> Rgb {
        let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * share).round() as u8;
        Rgb(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// At an opacity in [0, 1].
    pub fn at(self, opacity: f32) -> Color {
        let mut colour = Color::from_rgba8(self.0, self.1, self.2, 255);
        colour.set_alpha(opacity);
        colour
    }

    /// The pixel that it makes at an opacity in [0, 1].
    pub fn covering(self, opacity: f32) -> PremultipliedColorU8 {
        self.at(opacity).premultiply().to_color_u8()
    }
}

/// 0 below the first edge, 1 above the second, smooth between.
pub fn smoothstep([lo, hi]: [f32; 2], x: f32) -> f32 {
    let t = ((x - lo) / (hi - lo)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// An empty canvas; its sides are constants of this program, never 0.
pub fn pixmap(width: u32, height: u32) -> Pixmap {
    Pixmap::new(width, height).expect("a canvas has a width and a height")
}

/// One colour everywhere.
pub fn flat(colour: Color) -> Shader<'static> {
    Shader::SolidColor(colour)
}

/// From one height to another.
pub fn vertical(top: (f32, Color), bottom: (f32, Color)) -> Shader<'static> {
    let stops = vec![GradientStop::new(0.0, top.1), GradientStop::new(1.0, bottom.1)];
    let (start, end) = (Point::from_xy(0.0, top.0), Point::from_xy(0.0, bottom.0));
    LinearGradient::new(start, end, stops, SpreadMode::Pad, Transform::identity()).unwrap_or(flat(top.1))
}

/// Fades from the centre of an ellipse to nothing at its rim, as light and soft shadows do.
pub fn glow(centre: (f32, f32), radii: (f32, f32), colour: Rgb, opacity: f32) -> Shader<'static> {
    // Samples of a bell, so that no rim is seen.
    let stops = (0..=8).map(|k| {
        let r = k as f32 / 8.0;
        GradientStop::new(r, colour.at(opacity * (1.0 - smoothstep([0.0, 1.0], r)).powf(1.4)))
    });
    let place = Transform::from_translate(centre.0, centre.1).pre_scale(radii.0, radii.1);
    let o = Point::from_xy(0.0, 0.0);
    RadialGradient::new(o, 0.0, o, 1.0, stops.collect(), SpreadMode::Pad, place)
        .unwrap_or(flat(Color::TRANSPARENT))
}

/// Fills a rectangle given by left, top, width and height.
pub fn fill_rect(on: &mut Pixmap, [x, y, width, height]: [f32; 4], shader: Shader) {
    if let Some(rect) = Rect::from_xywh(x, y, width, height) {
        on.fill_rect(rect, &paint(shader), Transform::identity(), None);
    }
}

/// Fills a shape that `draw` describes.
pub fn fill(on: &mut Pixmap, shader: Shader, place: Transform, draw: impl FnOnce(&mut PathBuilder)) {
    if let Some(path) = shape(draw) {
        on.fill_path(&path, &paint(shader), FillRule::Winding, place, None);
    }
}

/// Strokes a line that `draw` describes, with round ends.
pub fn stroke(
    on: &mut Pixmap,
    width: f32,
    shader: Shader,
    place: Transform,
    draw: impl FnOnce(&mut PathBuilder),
) {
    if let Some(path) = shape(draw) {
        let line = Stroke { width, line_cap: LineCap::Round, ..Stroke::default() };
        on.stroke_path(&path, &paint(shader), &line, place, None);
    }
}

fn shape(draw: impl FnOnce(&mut PathBuilder)) -> Option<Path> {
    let mut builder = PathBuilder::new();
    draw(&mut builder);
    builder.finish()
}

fn paint(shader: Shader) -> Paint {
    Paint { shader, ..Paint::default() }
}
