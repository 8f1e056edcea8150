//! Labels beside their points, none upon another.

use crate::plot::Frame;

/// A rectangle: left, top, width, height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

impl Rect {
    /// The area that a frame leaves for data.
    pub fn inside_of(frame: &Frame) -> Self {
        let ((left, right), (bottom, top)) = (frame.x_range(), frame.y_range());
        Self { x: left, y: top, w: right - left, h: bottom - top }
    }

    /// Around a centre.
    pub fn around(x: f64, y: f64, half: f64) -> Self {
        Self { x: x - half, y: y - half, w: 2.0 * half, h: 2.0 * half }
    }

    /// The area that two share.
    pub fn overlap(&self, other: &Rect) -> f64 {
        let w = (self.x + self.w).min(other.x + other.w) - self.x.max(other.x);
        let h = (self.y + self.h).min(other.y + other.h) - self.y.max(other.y);
        if w > 0.0 && h > 0.0 { w * h } else { 0.0 }
    }

    fn inside(&self, frame: &Rect) -> bool {
        self.x >= frame.x
            && self.y >= frame.y
            && self.x + self.w <= frame.x + frame.w
            && self.y + self.h <= frame.y + frame.h
    }
}

/// A point and how large its label is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anchor {
    pub x: f64,
    pub y: f64,
    pub w: f64,
}

/// A label's height.
pub const HEIGHT: f64 = 15.0;

/// Distances of a label from its point.
const RADII: [f64; 6] = [9.0, 14.0, 20.0, 28.0, 38.0, 50.0];

/// Directions, the most readable first: right, left, above, below, then the corners.
const DIRECTIONS: [(f64, f64); 8] =
    [(1.0, 0.0), (-1.0, 0.0), (0.7, -0.7), (0.7, 0.7), (-0.7, -0.7), (-0.7, 0.7), (0.0, -1.0), (0.0, 1.0)];

/// Where each label goes: inside `frame`, clear of the others and of `hard`, rather not over `soft`. `None`
/// where there is no such place.
pub fn place(anchors: &[Anchor], hard: &[Rect], soft: &[Rect], frame: &Rect) -> Vec<Option<Rect>> {
    let candidates: Vec<Vec<(Rect, f64)>> =
        anchors.iter().map(|anchor| candidates(anchor, hard, soft, frame)).collect();
    let mut chosen: Vec<Option<usize>> = vec![None; anchors.len()];
    // Those with the fewest places choose first; then each in turn moves to its best place given the others.
    let mut order: Vec<usize> = (0..anchors.len()).collect();
    order.sort_by_key(|&k| candidates[k].len());
    for _ in 0..8 {
        for &k in &order {
            chosen[k] = best(&candidates, &chosen, k);
        }
    }
    chosen.iter().enumerate().map(|(k, c)| c.map(|c| candidates[k][c].0)).collect()
}

fn best(candidates: &[Vec<(Rect, f64)>], chosen: &[Option<usize>], k: usize) -> Option<usize> {
    let taken: Vec<Rect> = chosen
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != k)
        .filter_map(|(other, c)| c.map(|c| candidates[other][c].0))
        .collect();
    (0..candidates[k].len())
        .filter(|&c| taken.iter().all(|t| t.overlap(&candidates[k][c].0) == 0.0))
        .min_by(|&a, &b| candidates[k][a].1.total_cmp(&candidates[k][b].1))
}

/// Places that are free of all that does not move, each with its cost.
fn candidates(anchor: &Anchor, hard: &[Rect], soft: &[Rect], frame: &Rect) -> Vec<(Rect, f64)> {
    let mut candidates = vec![];
    for radius in RADII {
        for (preference, (dx, dy)) in DIRECTIONS.into_iter().enumerate() {
            let (x, y) = (anchor.x + radius * dx, anchor.y + radius * dy);
            let left = match dx {
                d if d > 0.0 => x,
                d if d < 0.0 => x - anchor.w,
                _ => x - 0.5 * anchor.w,
            };
            let rect = Rect { x: left, y: y - 0.5 * HEIGHT, w: anchor.w, h: HEIGHT };
            if !rect.inside(frame) || hard.iter().any(|h| h.overlap(&rect) > 0.0) {
                continue;
            }
            let crossed: f64 = soft.iter().map(|s| s.overlap(&rect)).sum();
            candidates.push((rect, radius + preference as f64 + 0.2 * crossed));
        }
    }
    candidates
}

/// The end of a line that leads from a point to its label, where the label is not at the point.
pub fn leader(anchor: &Anchor, label: &Rect) -> Option<(f64, f64)> {
    let x = anchor.x.clamp(label.x, label.x + label.w);
    let y = anchor.y.clamp(label.y + 2.0, label.y + label.h - 2.0);
    ((x - anchor.x).hypot(y - anchor.y) > 13.0).then_some((x, y))
}

/// Moves heights apart so that no two are nearer than `gap`, changing them as little as such a pass can, and
/// keeps them within `range`.
pub fn spread_out(heights: &[f64], gap: f64, range: (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|&a, &b| heights[a].total_cmp(&heights[b]));
    let mut placed = heights.to_vec();
    let mut floor = range.0;
    for &k in &order {
        placed[k] = placed[k].max(floor);
        floor = placed[k] + gap;
    }
    let mut ceiling = range.1;
    for &k in order.iter().rev() {
        placed[k] = placed[k].min(ceiling);
        ceiling = placed[k] - gap;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: Rect = Rect { x: 0.0, y: 0.0, w: 600.0, h: 400.0 };

    #[test]
    fn a_lone_label_stands_right_of_its_point() {
        let placed = place(&[Anchor { x: 100.0, y: 100.0, w: 50.0 }], &[], &[], &FRAME);
        assert_eq!(placed, [Some(Rect { x: 109.0, y: 92.5, w: 50.0, h: HEIGHT })]);
    }

    #[test]
    fn at_the_right_edge_it_stands_left() {
        let placed = place(&[Anchor { x: 590.0, y: 100.0, w: 50.0 }], &[], &[], &FRAME);
        assert_eq!(placed[0].unwrap().x, 531.0);
    }

    #[test]
    fn heights_are_moved_apart() {
        assert_eq!(spread_out(&[10.0, 12.0, 50.0], 5.0, (0.0, 100.0)), [10.0, 15.0, 50.0]);
        assert_eq!(spread_out(&[99.0, 98.0], 5.0, (0.0, 100.0)), [100.0, 95.0]);
    }

    proptest! {
        #[test]
        fn labels_lie_upon_neither_each_other_nor_a_point(
            points in prop::collection::vec((5.0..595.0f64, 5.0..395.0f64, 10.0..120.0f64), 0..30)
        ) {
            let anchors: Vec<Anchor> = points.iter().map(|&(x, y, w)| Anchor { x, y, w }).collect();
            let markers: Vec<Rect> = anchors.iter().map(|a| Rect::around(a.x, a.y, 5.0)).collect();
            let placed: Vec<Rect> = place(&anchors, &markers, &[], &FRAME).into_iter().flatten().collect();
            for (k, a) in placed.iter().enumerate() {
                prop_assert!(a.inside(&FRAME));
                prop_assert!(markers.iter().all(|m| m.overlap(a) == 0.0));
                prop_assert!(placed[k + 1..].iter().all(|b| a.overlap(b) == 0.0));
            }
        }
    }
}
