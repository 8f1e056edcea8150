//! What never moves: the wall, its lamps, the rail, the bench and the floor, drawn once.

use tiny_skia::{Pixmap, Transform};

use crate::brush::{Rgb, fill, fill_rect, flat, glow, pixmap, stroke, vertical};

/// Width and height of the canvas, in pixels.
pub const CANVAS: (u32, u32) = (960, 540);

/// Height of the rail's axis, from above.
pub const RAIL: f32 = 92.0;

/// Height of the bench's seat, from above.
pub const BENCH: f32 = 430.0;

/// Where the wall meets the floor.
const FLOOR: f32 = 462.0;

/// The lamps, from left to right.
const LAMPS: [f32; 3] = [200.0, 480.0, 760.0];

const WALL: [Rgb; 2] = [Rgb(38, 68, 72), Rgb(58, 98, 96)];
const PLANKS: [Rgb; 2] = [Rgb(92, 62, 44), Rgb(150, 104, 72)];
const BRASS: [Rgb; 3] = [Rgb(250, 224, 160), Rgb(206, 162, 88), Rgb(112, 80, 40)];
const OAK: [Rgb; 2] = [Rgb(196, 148, 98), Rgb(120, 80, 50)];
const WARM: Rgb = Rgb(255, 212, 148);
const DARK: Rgb = Rgb(10, 12, 16);

/// The layers behind and before the garments.
pub struct Backdrop {
    /// Opaque.
    pub behind: Pixmap,
    /// The lamps' haze, and the dark towards the corners.
    pub before: Pixmap,
}

impl Backdrop {
    /// Draws both.
    pub fn new() -> Self {
        let mut behind = pixmap(CANVAS.0, CANVAS.1);
        wall(&mut behind);
        floor(&mut behind);
        rail(&mut behind);
        bench(&mut behind);
        plant(&mut behind);
        let mut before = pixmap(CANVAS.0, CANVAS.1);
        haze(&mut before);
        Self { behind, before }
    }
}

fn size() -> (f32, f32) {
    (CANVAS.0 as f32, CANVAS.1 as f32)
}

fn wall(on: &mut Pixmap) {
    let (width, _) = size();
    let all = [0.0, 0.0, width, FLOOR];
    fill_rect(on, all, vertical((0.0, WALL[0].at(1.0)), (FLOOR, WALL[1].at(1.0))));
    // Panels: a line of shade and one of light.
    for k in 0..=8 {
        let x = 40.0 + 110.0 * k as f32;
        fill_rect(on, [x, 0.0, 1.5, FLOOR], flat(DARK.at(0.16)));
        fill_rect(on, [x + 1.5, 0.0, 1.0, FLOOR], flat(WARM.at(0.06)));
    }
    for x in LAMPS {
        fill_rect(on, all, glow((x, 150.0), (250.0, 300.0), WARM, 0.42));
        fill_rect(on, all, glow((x, 90.0), (120.0, 150.0), WARM, 0.25));
    }
    fill_rect(on, [0.0, FLOOR - 14.0, width, 14.0], flat(WALL[0].mix(DARK, 0.25).at(1.0)));
    fill_rect(on, [0.0, FLOOR - 14.0, width, 1.5], flat(WARM.at(0.18)));
}

fn floor(on: &mut Pixmap) {
    let (width, height) = size();
    let all = [0.0, FLOOR, width, height - FLOOR];
    fill_rect(on, all, vertical((FLOOR, PLANKS[0].at(1.0)), (height, PLANKS[1].at(1.0))));
    // Planks run away from the window to one point behind the wall.
    for k in -16..=16 {
        let (far, near) = (480.0 + 44.0 * k as f32, 480.0 + 62.0 * k as f32);
        stroke(on, 1.2, flat(DARK.at(0.28)), Transform::identity(), |p| {
            p.move_to(far, FLOOR);
            p.line_to(near, height);
        });
    }
    for x in LAMPS {
        fill_rect(on, all, glow((x, FLOOR + 44.0), (230.0, 48.0), WARM, 0.3));
    }
    fill_rect(on, [0.0, FLOOR, width, 12.0], vertical((FLOOR, DARK.at(0.5)), (FLOOR + 12.0, DARK.at(0.0))));
}

fn rail(on: &mut Pixmap) {
    let still = Transform::identity();
    for x in [92.0, 868.0] {
        stroke(on, 3.5, flat(BRASS[1].at(1.0)), still, |p| {
            p.move_to(x, 0.0);
            p.line_to(x, RAIL);
        });
    }
    let shadow = vertical((RAIL + 4.0, DARK.at(0.0)), (RAIL + 16.0, DARK.at(0.35)));
    fill_rect(on, [80.0, RAIL + 10.0, 814.0, 5.0], shadow);
    let tube = |p: &mut tiny_skia::PathBuilder| {
        p.move_to(76.0, RAIL);
        p.line_to(884.0, RAIL);
    };
    stroke(on, 8.0, vertical((RAIL - 4.0, BRASS[1].at(1.0)), (RAIL + 4.0, BRASS[2].at(1.0))), still, tube);
    stroke(on, 2.0, flat(BRASS[0].at(0.9)), Transform::from_translate(0.0, -1.8), tube);
    for x in LAMPS {
        lamp(on, x);
    }
}

fn lamp(on: &mut Pixmap, x: f32) {
    let still = Transform::identity();
    stroke(on, 1.6, flat(DARK.at(0.9)), still, |p| {
        p.move_to(x, 0.0);
        p.line_to(x, 22.0);
    });
    fill(on, glow((x, 50.0), (28.0, 16.0), Rgb(255, 240, 206), 1.0), still, |p| p.push_circle(x, 50.0, 28.0));
    fill(on, vertical((18.0, BRASS[0].at(1.0)), (52.0, BRASS[2].at(1.0))), still, |p| {
        p.move_to(x - 30.0, 48.0);
        p.cubic_to(x - 28.0, 30.0, x - 14.0, 20.0, x, 19.0);
        p.cubic_to(x + 14.0, 20.0, x + 28.0, 30.0, x + 30.0, 48.0);
        p.close();
    });
    fill(on, flat(Rgb(255, 238, 198).at(1.0)), still, |p| {
        p.move_to(x - 29.0, 48.0);
        p.quad_to(x, 55.0, x + 29.0, 48.0);
        p.close();
    });
}

fn bench(on: &mut Pixmap) {
    let still = Transform::identity();
    let (left, right, ground) = (208.0, 776.0, 506.0);
    let under = ((left + right) / 2.0, ground);
    fill_rect(on, [left - 60.0, FLOOR, 690.0, 78.0], glow(under, (340.0, 26.0), DARK, 0.8));
    for x in [left + 26.0, right - 38.0] {
        fill_rect(
            on,
            [x, BENCH + 12.0, 12.0, ground - BENCH - 12.0],
            vertical((BENCH, OAK[1].mix(DARK, 0.35).at(1.0)), (ground, OAK[1].at(1.0))),
        );
    }
    fill(on, vertical((BENCH - 4.0, OAK[0].at(1.0)), (BENCH + 18.0, OAK[1].at(1.0))), still, |p| {
        if let Some(seat) = tiny_skia::Rect::from_xywh(left, BENCH - 4.0, right - left, 22.0) {
            p.push_rect(seat);
        }
    });
    fill_rect(on, [left, BENCH - 4.0, right - left, 9.0], flat(WARM.at(0.3)));
    fill_rect(
        on,
        [left, BENCH + 18.0, right - left, 8.0],
        vertical((BENCH + 18.0, DARK.at(0.5)), (BENCH + 26.0, DARK.at(0.0))),
    );
}

/// A potted plant at the right, for company.
fn plant(on: &mut Pixmap) {
    let still = Transform::identity();
    let (x, ground) = (866.0, 512.0);
    fill_rect(on, [x - 90.0, ground - 24.0, 180.0, 44.0], glow((x, ground), (76.0, 15.0), DARK, 0.85));
    for (k, (angle, length)) in [
        (-58.0, 92.0),
        (52.0, 96.0),
        (-34.0, 124.0),
        (33.0, 130.0),
        (-12.0, 138.0),
        (14.0, 132.0),
        (1.0, 108.0),
    ]
    .into_iter()
    .enumerate()
    {
        let leaf = Rgb(52, 92, 66).mix(Rgb(138, 170, 104), k as f32 / 7.0);
        let place = Transform::from_rotate_at(angle, x, ground - 58.0);
        let (root, tip) = (ground - 58.0, ground - 58.0 - length);
        fill(
            on,
            vertical((tip, leaf.mix(WARM, 0.25).at(1.0)), (root, leaf.mix(DARK, 0.45).at(1.0))),
            place,
            |p| {
                p.move_to(x, root);
                p.cubic_to(x - 26.0, root - 0.35 * length, x - 16.0, root - 0.8 * length, x, tip);
                p.cubic_to(x + 16.0, root - 0.8 * length, x + 26.0, root - 0.35 * length, x, root);
            },
        );
        stroke(on, 1.0, flat(leaf.mix(DARK, 0.4).at(0.7)), place, |p| {
            p.move_to(x, root);
            p.line_to(x, tip + 10.0);
        });
    }
    let clay = Rgb(196, 110, 78);
    fill(
        on,
        vertical((ground - 62.0, clay.mix(WARM, 0.2).at(1.0)), (ground, clay.mix(DARK, 0.5).at(1.0))),
        still,
        |p| {
            p.move_to(x - 36.0, ground - 62.0);
            p.line_to(x + 36.0, ground - 62.0);
            p.line_to(x + 26.0, ground);
            p.line_to(x - 26.0, ground);
            p.close();
        },
    );
    fill_rect(on, [x - 39.0, ground - 66.0, 78.0, 13.0], flat(clay.mix(WARM, 0.28).at(1.0)));
    fill_rect(on, [x - 36.0, ground - 53.0, 72.0, 5.0], flat(DARK.at(0.25)));
}

fn haze(on: &mut Pixmap) {
    let (width, height) = size();
    let all = [0.0, 0.0, width, height];
    for x in LAMPS {
        fill_rect(on, all, glow((x, 70.0), (210.0, 250.0), WARM, 0.12));
    }
    for x in [0.0, width] {
        fill_rect(on, all, glow((x, height / 2.0), (230.0, 520.0), DARK, 0.5));
    }
    for y in [0.0, height] {
        fill_rect(on, all, glow((width / 2.0, y), (900.0, 90.0), DARK, 0.3));
    }
}
