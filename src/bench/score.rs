//! A score of a method against a named front, as ELUE's (*Towards Efficient NLP: A Standard Evaluation and
//! A Strong Baseline*, arXiv 2110.07038).
//!
//! ELUE scores a method by how much better each of its points is, on average, than a reference of equal
//! cost, read off a line through the reference's points. So does this, with four differences: the measure
//! is a distance, so a gain is reference − row; the reference is full depth in fewer solver steps unless
//! another method is named, not one fixed network; dominated points of the reference are not on its front
//! (at any cost, the reference may spend less); and outside the costs that the reference was measured at
//! nothing is extrapolated: such rows are counted, not scored. Cost is block cost, and separately measured
//! time.
//!
//! The line between two points of the reference is straight, so a reference that is convex in cost, as
//! fewer steps are, is really a little better between them than the score says.

use std::collections::BTreeMap;

use super::family::{Family, method};
use super::{Quality, Row};

/// One row on the plane of cost and distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostedDistance {
    /// What it spends, in any unit.
    pub cost: f64,
    /// How far from the reference images it is.
    pub distance: f64,
}

/// The least distance that a reference reaches for a cost.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceFront {
    /// By rising cost, and falling distance.
    front: Vec<CostedDistance>,
    most_cost: f64,
}

impl ReferenceFront {
    /// Through a reference's points; `None` where none is finite.
    pub fn new(points: &[CostedDistance]) -> Option<Self> {
        let mut points: Vec<CostedDistance> =
            points.iter().copied().filter(|p| p.cost.is_finite() && p.distance.is_finite()).collect();
        points.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.distance.total_cmp(&b.distance)));
        let most_cost = points.last()?.cost;
        let mut front: Vec<CostedDistance> = vec![];
        for point in points {
            if front.last().is_none_or(|last| point.distance < last.distance) {
                front.push(point);
            }
        }
        Some(Self { front, most_cost })
    }

    /// Its distance at a cost: on the straight line between the two points around it, and beyond the last
    /// point of the front that point's, up to the most that the reference was seen to spend. `None` outside.
    pub fn at(&self, cost: f64) -> Option<f64> {
        let first = self.front.first()?;
        if !(first.cost..=self.most_cost).contains(&cost) {
            return None;
        }
        let above = self.front.partition_point(|p| p.cost < cost);
        let Some(right) = self.front.get(above) else { return self.front.last().map(|p| p.distance) };
        if right.cost == cost || above == 0 {
            return Some(right.distance);
        }
        let left = self.front[above - 1];
        let share = (cost - left.cost) / (right.cost - left.cost);
        Some(left.distance + share * (right.distance - left.distance))
    }
}

/// The score of one method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Mean of (the reference's distance at equal cost − the row's): positive is better than the
    /// reference. `None` where no row could be scored.
    pub gain: Option<f64>,
    /// Mean of the same ÷ the reference's distance; `None` also where the reference is not above 0.
    pub relative: Option<f64>,
    /// Rows that were scored.
    pub scored: usize,
    /// Rows that cost less or more than any of the reference's: not scored.
    pub outside: usize,
    /// Rows without a cost or a distance: not scored.
    pub unmeasured: usize,
}

/// Scores rows (`None`: not measured) against a front.
pub fn score(reference: &ReferenceFront, rows: &[Option<CostedDistance>]) -> Score {
    let mut score = Score { gain: None, relative: None, scored: 0, outside: 0, unmeasured: 0 };
    let (mut gain, mut relative) = (0.0, Some(0.0));
    for row in rows {
        let Some(row) = row.filter(|r| r.cost.is_finite() && r.distance.is_finite()) else {
            score.unmeasured += 1;
            continue;
        };
        let Some(expected) = reference.at(row.cost) else {
            score.outside += 1;
            continue;
        };
        score.scored += 1;
        gain += expected - row.distance;
        relative = relative.filter(|_| expected > 0.0).map(|sum| sum + (expected - row.distance) / expected);
    }
    if score.scored > 0 {
        score.gain = Some(gain / score.scored as f64);
        score.relative = relative.map(|sum| sum / score.scored as f64);
    }
    score
}

/// The front that methods are scored against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reference<'a> {
    /// Full depth, in the plan's number of steps and in fewer.
    #[default]
    FewerSteps,
    /// A method by its name.
    Method(&'a str),
}

impl Reference<'_> {
    fn holds(self, row: &Row) -> bool {
        match self {
            Self::FewerSteps => Family::of(&row.role) == Family::FewerSteps,
            Self::Method(name) => method(row) == name,
        }
    }
}

/// A method's scores, at equal block cost and at equal time.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodScore {
    /// The method.
    pub method: String,
    /// Its rows.
    pub rows: usize,
    /// At equal block cost; `None` where the reference declares no cost.
    pub at_equal_cost: Option<Score>,
    /// At equal seconds an image.
    pub at_equal_time: Option<Score>,
}

/// Scores every other method of a run by a distance. Rows count only where `n` images were judged (`None`: any number), and
/// their block cost only where their backbone has as many blocks as the reference's.
pub fn scores(
    rows: &[Row],
    reference: Reference,
    extractor: &str,
    n: Option<usize>,
    distance: impl Fn(&Quality) -> f64,
) -> Vec<MethodScore> {
    let judged = |row: &Row| {
        let quality = row.quality.iter().find(|q| q.extractor == extractor && n.is_none_or(|n| q.n == n))?;
        row.error.is_none().then(|| distance(quality))
    };
    let blocks = rows.iter().filter(|r| reference.holds(r)).find_map(|r| r.depth.as_ref()).map(|d| d.blocks);
    let by_cost = |row: &Row| {
        let depth = row.depth.as_ref().filter(|d| Some(d.blocks) == blocks)?;
        Some(CostedDistance { cost: depth.cost, distance: judged(row)? })
    };
    let by_time = |row: &Row| {
        let cost = 1.0 / row.speed.as_ref()?.images_per_second.median;
        Some(CostedDistance { cost, distance: judged(row)? })
    };
    let front = |costed: &dyn Fn(&Row) -> Option<CostedDistance>| {
        let points: Vec<_> = rows.iter().filter(|r| reference.holds(r)).filter_map(costed).collect();
        ReferenceFront::new(&points)
    };
    let (cost_front, time_front) = (front(&by_cost), front(&by_time));

    let mut methods: BTreeMap<(Family, String), Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !reference.holds(row)) {
        methods.entry((Family::of(&row.role), method(row))).or_default().push(row);
    }
    let scored =
        |front: &Option<ReferenceFront>, rows: &[&Row], costed: &dyn Fn(&Row) -> Option<CostedDistance>| {
            let points: Vec<_> = rows.iter().map(|row| costed(row)).collect();
            front.as_ref().map(|front| score(front, &points))
        };
    methods
        .into_iter()
        .map(|((_, method), rows)| MethodScore {
            method,
            rows: rows.len(),
            at_equal_cost: scored(&cost_front, &rows, &by_cost),
            at_equal_time: scored(&time_front, &rows, &by_time),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(pairs: &[(f64, f64)]) -> Vec<CostedDistance> {
        pairs.iter().map(|&(cost, distance)| CostedDistance { cost, distance }).collect()
    }

    #[test]
    fn the_front_is_read_on_straight_lines_and_not_beyond_its_ends() {
        let front = ReferenceFront::new(&points(&[(20.0, 30.0), (5.0, 60.0), (10.0, 40.0)])).unwrap();
        assert_eq!(front.at(5.0), Some(60.0));
        assert_eq!(front.at(7.5), Some(50.0));
        assert_eq!(front.at(15.0), Some(35.0));
        assert_eq!(front.at(20.0), Some(30.0));
        assert_eq!(front.at(4.999), None);
        assert_eq!(front.at(20.001), None);
        assert_eq!(front.at(f64::NAN), None);
        assert_eq!(ReferenceFront::new(&[]), None);
        assert_eq!(ReferenceFront::new(&points(&[(f64::NAN, 1.0)])), None);
    }

    #[test]
    fn dominated_points_of_the_reference_are_passed_over_but_widen_its_range() {
        // 15 costs more than 10 and is worse; 20 costs more and is equal.
        let front = ReferenceFront::new(&points(&[(10.0, 40.0), (15.0, 44.0), (20.0, 40.0), (5.0, 60.0)]));
        let front = front.unwrap();
        assert_eq!(front.at(15.0), Some(40.0));
        assert_eq!(front.at(20.0), Some(40.0));
        assert_eq!(front.at(20.5), None);
    }

    #[test]
    fn of_points_of_equal_cost_the_better_counts() {
        let front = ReferenceFront::new(&points(&[(10.0, 40.0), (10.0, 30.0), (20.0, 20.0)])).unwrap();
        assert_eq!(front.at(10.0), Some(30.0));
        assert_eq!(front.at(15.0), Some(25.0));
    }

    #[test]
    fn a_score_is_the_mean_gain_over_the_rows_inside() {
        let front = ReferenceFront::new(&points(&[(5.0, 60.0), (10.0, 40.0), (20.0, 30.0)])).unwrap();
        let mut rows: Vec<_> =
            points(&[(7.5, 45.0), (15.0, 42.0), (4.0, 50.0)]).into_iter().map(Some).collect();
        rows.push(None);
        // Gains: 50 − 45 = 5 and 35 − 42 = −7; relative 0.1 and −0.2.
        let score = score(&front, &rows);
        assert_eq!(score.gain, Some(-1.0));
        assert!((score.relative.unwrap() - -0.05).abs() < 1e-15);
        assert_eq!((score.scored, score.outside, score.unmeasured), (2, 1, 1));
    }

    #[test]
    fn a_reference_that_scores_itself_gains_nothing() {
        let all = points(&[(5.0, 60.0), (10.0, 40.0), (20.0, 30.0)]);
        let front = ReferenceFront::new(&all).unwrap();
        let score = score(&front, &all.into_iter().map(Some).collect::<Vec<_>>());
        assert_eq!((score.gain, score.relative, score.scored), (Some(0.0), Some(0.0), 3));
    }

    #[test]
    fn nothing_scored_is_no_score_and_a_reference_at_zero_has_no_relative_one() {
        let front = ReferenceFront::new(&points(&[(1.0, 0.0), (2.0, -1.0)])).unwrap();
        let none = score(&front, &[Some(CostedDistance { cost: 3.0, distance: 0.0 })]);
        assert_eq!((none.gain, none.relative, none.outside), (None, None, 1));
        let one = score(&front, &[Some(CostedDistance { cost: 1.5, distance: 0.5 })]);
        assert_eq!((one.gain, one.relative), (Some(-1.0), None));
    }
}
