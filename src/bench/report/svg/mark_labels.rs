//! The names of marks, beside them.

use maud::{Markup, html};

use super::labels::{Anchor, Rect, leader, place};
use super::marker;
use super::shortened;
use crate::bench::family::Family;
use crate::plot::{Frame, px, text_width};

/// A row's mark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    pub x: f64,
    pub y: f64,
    /// Index of the row.
    pub row: usize,
    pub family: Family,
}

/// A label in its place.
pub struct Label {
    pub text: String,
    pub family: Family,
    pub anchor: Anchor,
    pub rect: Rect,
    pub leader: Option<(f64, f64)>,
}

/// Names in their places; where a name finds none, its row's number; where that finds none, nothing: the
/// mark's title and the table have it. Labels lie on nothing that is `taken`, and rather not over `soft`.
pub fn labels(marks: &[Mark], names: &[String], frame: &Frame, soft: &[Rect], taken: &[Rect]) -> Vec<Label> {
    let mut hard: Vec<Rect> = marks.iter().map(|m| Rect::around(m.x, m.y, 6.5)).collect();
    hard.extend(taken);
    let area = Rect::inside_of(frame);
    let frame = Rect { x: area.x + 2.0, y: area.y - 8.0, w: area.w + 8.0, h: area.h + 6.0 };
    let mut texts: Vec<String> = marks.iter().map(|m| shortened(&names[m.row], 30)).collect();
    let anchors = |texts: &[String]| -> Vec<Anchor> {
        marks.iter().zip(texts).map(|(m, text)| Anchor { x: m.x, y: m.y, w: text_width(text) }).collect()
    };
    let mut placed = place(&anchors(&texts), &hard, soft, &frame);
    if placed.iter().any(Option::is_none) {
        for (k, text) in texts.iter_mut().enumerate().filter(|(k, _)| placed[*k].is_none()) {
            *text = format!("#{}", marks[k].row + 1);
        }
        placed = place(&anchors(&texts), &hard, soft, &frame);
    }
    let anchors = anchors(&texts);
    placed
        .into_iter()
        .enumerate()
        .filter_map(|(k, rect)| {
            let rect = rect?;
            let (text, anchor) = (texts[k].clone(), anchors[k]);
            Some(Label { text, family: marks[k].family, anchor, rect, leader: leader(&anchor, &rect) })
        })
        .collect()
}

/// Small rectangles along a line, so that labels keep off it.
pub fn along(from: (f64, f64), to: (f64, f64)) -> impl Iterator<Item = Rect> {
    let pieces = ((to.0 - from.0).hypot(to.1 - from.1) / 6.0).ceil().clamp(1.0, 400.0);
    (0..=pieces as usize).map(move |k| {
        let share = k as f64 / pieces;
        Rect::around(from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1), 3.0)
    })
}

/// Lines from marks to labels that are not beside them.
pub fn leaders(labels: &[Label]) -> Markup {
    html! {
        @for label in labels {
            @if let Some(to) = label.leader {
                line.leader x1=(px(label.anchor.x)) y1=(px(label.anchor.y)) x2=(px(to.0)) y2=(px(to.1)) {}
            }
        }
    }
}

/// The labels' texts: a mark's title says the same to a screen reader.
pub fn draw(labels: &[Label]) -> Markup {
    html! {
        g aria-hidden="true" {
            @for label in labels {
                text class=(format!("label {}", marker::class(label.family)))
                    x=(px(label.rect.x + 0.5 * label.rect.w)) y=(px(label.rect.y + 11.5)) text-anchor="middle" { (label.text) }
            }
        }
    }
}
