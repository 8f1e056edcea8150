//! The shop window: what hangs or stands where, and one frame of it.

use std::f32::consts::TAU;

use tiny_skia::{FilterQuality, Pixmap, PixmapPaint, Transform};

use crate::backdrop::{BENCH, Backdrop, RAIL};
use crate::brush::{Rgb, fill, flat, glow, stroke};
use crate::garment::{Garment, SHADOW_SIDE, SIDE};

/// Where a garment is, and of which class it must be.
#[derive(Clone, Copy)]
pub struct Place {
    /// Class of Fashion-MNIST.
    pub class: i64,
    /// Its centre.
    x: f32,
    /// Side of its texture on the canvas, in pixels.
    size: f32,
    /// Half the width of its hanger; `None` stands on the bench.
    hanger: Option<f32>,
}

const fn hung(class: i64, x: f32, size: f32, hanger: f32) -> Place {
    Place { class, x, size, hanger: Some(hanger) }
}

const fn stood(class: i64, x: f32, size: f32) -> Place {
    Place { class, x, size, hanger: None }
}

/// From left to right: the rail, then the bench.
pub const PLACES: [Place; 10] = [
    hung(4, 158.0, 248.0, 44.0), // coat
    hung(3, 292.0, 244.0, 34.0), // dress
    hung(6, 424.0, 214.0, 44.0), // shirt
    hung(0, 557.0, 200.0, 42.0), // T-shirt
    hung(2, 690.0, 208.0, 42.0), // pullover
    hung(1, 812.0, 252.0, 26.0), // trousers
    stood(9, 292.0, 116.0),      // ankle boot
    stood(8, 424.0, 116.0),      // bag
    stood(7, 556.0, 134.0),      // sneaker
    stood(7, 690.0, 134.0),      // another sneaker
];

/// The colours of two collections, place by place.
pub const COLLECTIONS: [[Rgb; 10]; 2] = [
    [
        Rgb(204, 158, 98),  // camel
        Rgb(214, 98, 72),   // terracotta
        Rgb(238, 226, 204), // ivory
        Rgb(232, 178, 66),  // mustard
        Rgb(216, 142, 138), // dusty rose
        Rgb(98, 136, 178),  // denim
        Rgb(168, 92, 54),   // cognac
        Rgb(186, 72, 62),   // brick
        Rgb(240, 234, 220), // chalk
        Rgb(226, 150, 74),  // honey
    ],
    [
        Rgb(168, 62, 74),   // burgundy
        Rgb(156, 184, 140), // sage
        Rgb(166, 198, 216), // sky
        Rgb(236, 130, 102), // coral
        Rgb(230, 212, 176), // oat
        Rgb(142, 112, 158), // heather
        Rgb(112, 84, 74),   // bark
        Rgb(226, 176, 72),  // amber
        Rgb(134, 178, 176), // sea
        Rgb(238, 222, 206), // sand
    ],
];

/// How far a garment is below the rail: the hook, then the hanger's shoulders.
const HOOK: f32 = 26.0;

const BRASS: Rgb = Rgb(222, 184, 112);
const WOOD: Rgb = Rgb(150, 104, 66);

/// The window without its garments, drawn once.
pub struct Scene {
    backdrop: Backdrop,
}

impl Scene {
    /// An empty window.
    pub fn new() -> Self {
        Self { backdrop: Backdrop::new() }
    }

    /// The window at a time in seconds; the k-th garment is in the k-th place.
    pub fn frame(&self, garments: &[Garment], time: f32) -> Pixmap {
        let mut frame = self.backdrop.behind.clone();
        let placed = || PLACES.iter().enumerate().map(|(k, place)| (place, garments.get(k), sway(k, time)));
        // All shadows first: none falls on the neighbour, which hangs as far from the wall.
        for (place, garment, angle) in placed().filter(|(place, ..)| place.hanger.is_some()) {
            if let Some(garment) = garment {
                lay(
                    &mut frame,
                    &garment.shadow,
                    SHADOW_SIDE,
                    0.6,
                    place.on(garment, angle).post_translate(13.0, 15.0),
                );
            }
        }
        for (place, garment, angle) in placed() {
            match place.hanger {
                Some(half) => hanger(&mut frame, place.x, half, swung(place.x, angle)),
                None => standing_shadow(&mut frame, place),
            }
            if let Some(garment) = garment {
                lay(&mut frame, &garment.texture, SIDE, 1.0, place.on(garment, angle));
            }
        }
        let whole = PixmapPaint::default();
        frame.draw_pixmap(0, 0, self.backdrop.before.as_ref(), &whole, Transform::identity(), None);
        frame
    }
}

impl Place {
    /// Takes the unit square of a texture to its place.
    fn on(&self, garment: &Garment, angle: f32) -> Transform {
        let [top, bottom] = garment.extent;
        let left = self.x - self.size / 2.0;
        let unit = |y: f32| Transform::from_row(self.size, 0.0, 0.0, self.size, left, y);
        match self.hanger {
            Some(_) => unit(RAIL + HOOK - 2.0 - top * self.size).post_concat(swung(self.x, angle)),
            None => unit(BENCH + 3.0 - bottom * self.size),
        }
    }
}

/// The angle of the k-th garment, in degrees: a slow draught, each in its own rhythm.
fn sway(k: usize, time: f32) -> f32 {
    let (period, phase) = (2.6 + 0.23 * (k * 5 % 7) as f32, 0.31 * k as f32);
    1.9 * (TAU * (time / period + phase)).sin()
}

/// Turns about the point where a hook meets the rail.
fn swung(x: f32, angle: f32) -> Transform {
    Transform::from_rotate_at(angle, x, RAIL)
}

fn lay(on: &mut Pixmap, texture: &Pixmap, side: u32, opacity: f32, place: Transform) {
    let paint = PixmapPaint { opacity, quality: FilterQuality::Bilinear, ..PixmapPaint::default() };
    let unit = 1.0 / side as f32;
    on.draw_pixmap(0, 0, texture.as_ref(), &paint, place.pre_scale(unit, unit), None);
}

fn hanger(on: &mut Pixmap, x: f32, half: f32, place: Transform) {
    let neck = RAIL + HOOK;
    stroke(on, 2.2, flat(BRASS.at(1.0)), place, |p| {
        p.move_to(x - 5.0, RAIL + 1.0);
        p.cubic_to(x - 6.0, RAIL - 10.0, x + 8.0, RAIL - 9.0, x + 6.0, RAIL + 2.0);
        p.cubic_to(x + 5.0, RAIL + 9.0, x, RAIL + 9.0, x, neck - 7.0);
    });
    stroke(on, 5.0, flat(WOOD.at(1.0)), place, |p| {
        p.move_to(x - half, neck + 11.0);
        p.quad_to(x - half * 0.4, neck - 4.0, x, neck - 6.0);
        p.quad_to(x + half * 0.4, neck - 4.0, x + half, neck + 11.0);
    });
}

fn standing_shadow(on: &mut Pixmap, place: &Place) {
    let (x, half) = (place.x, place.size * 0.46);
    fill(on, glow((x, BENCH + 2.0), (half, 7.0), Rgb(20, 10, 6), 0.75), Transform::identity(), |p| {
        if let Some(rect) = tiny_skia::Rect::from_xywh(x - half, BENCH - 6.0, 2.0 * half, 16.0) {
            p.push_rect(rect);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_window_is_opaque_and_lit_from_above() {
        let frame = Scene::new().frame(&[], 0.0);
        assert!(frame.pixels().iter().all(|p| p.alpha() == 255));
        let brightness = |y| frame.pixel(480, y).map(|p| u32::from(p.red()) + u32::from(p.green()));
        assert!(brightness(150) > brightness(400));
    }
}
