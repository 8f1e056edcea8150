//! A family's mark: its shape says as much as its colour.

use maud::{Markup, html};

use crate::bench::family::Family;
use crate::plot::px;

/// The style sheet's class of a family.
pub fn class(family: Family) -> &'static str {
    match family {
        Family::Ours => "ours",
        Family::FewerSteps => "fewer",
        Family::FixedExit => "fixed",
        Family::TimeSchedule => "schedule",
        Family::Cache => "cache",
        Family::Peer => "peer",
    }
}

/// The outline of a family's mark around a point.
pub fn path(family: Family, x: f64, y: f64) -> String {
    let polygon = |corners: &[(f64, f64)]| {
        let corners: Vec<String> =
            corners.iter().map(|(dx, dy)| format!("{} {}", px(x + dx), px(y + dy))).collect();
        format!("M{}Z", corners.join("L"))
    };
    match family {
        Family::Ours => {
            let r = 5.5;
            format!("M{} {}a{r} {r} 0 1 0 11 0a{r} {r} 0 1 0 -11 0Z", px(x - r), px(y))
        }
        Family::FewerSteps => polygon(&[(-4.7, -4.7), (4.7, -4.7), (4.7, 4.7), (-4.7, 4.7)]),
        Family::FixedExit => polygon(&[(0.0, -6.2), (5.8, 4.2), (-5.8, 4.2)]),
        Family::TimeSchedule => polygon(&[(0.0, -6.6), (6.6, 0.0), (0.0, 6.6), (-6.6, 0.0)]),
        Family::Cache => polygon(&[(0.0, 6.2), (5.8, -4.2), (-5.8, -4.2)]),
        Family::Peer => polygon(&[
            (-1.8, -5.6),
            (1.8, -5.6),
            (1.8, -1.8),
            (5.6, -1.8),
            (5.6, 1.8),
            (1.8, 1.8),
            (1.8, 5.6),
            (-1.8, 5.6),
            (-1.8, 1.8),
            (-5.6, 1.8),
            (-5.6, -1.8),
            (-1.8, -1.8),
        ]),
    }
}

/// A mark for a legend.
pub fn swatch(family: Family) -> Markup {
    html! {
        svg.swatch viewBox="0 0 16 16" aria-hidden="true" {
            path class=(format!("mark {}", class(family))) d=(path(family, 8.0, 8.0)) {}
        }
    }
}
