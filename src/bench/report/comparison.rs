//! Rows side by side: images a second against one measure of quality.

use super::measure::{Judged, Measure};
use crate::bench::family::Family;
use crate::bench::{Row, Spread};

/// All rows that one measure can compare, each with its speed.
pub struct Comparison {
    pub measure: Measure,
    /// Images that they were judged on: all of them if the measure is biased, else most.
    pub n: usize,
    pub points: Vec<Point>,
    /// Rows that were judged on another number of images.
    pub other_n: Vec<usize>,
    /// The measure of real images, at this N.
    pub floor: Option<f64>,
}

/// A row on the plane of speed and quality.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Index of the row.
    pub row: usize,
    pub family: Family,
    pub speed: Spread,
    pub judged: Judged,
}

impl Point {
    /// At least as fast and as good, and one of them more so.
    fn dominates(&self, other: &Point) -> bool {
        let (fast, good) = (self.speed.median, self.judged.value);
        let (other_fast, other_good) = (other.speed.median, other.judged.value);
        fast >= other_fast && good <= other_good && (fast > other_fast || good < other_good)
    }

    /// Whether the intervals of the two leave it open which one is better, and whether which is faster.
    pub fn near(&self, other: &Point) -> (bool, bool) {
        let apart = |a: (f64, f64), b: (f64, f64)| a.0 > b.1 || b.0 > a.1;
        let quality = match (self.judged.interval, other.judged.interval) {
            (Some(a), Some(b)) => !apart(a, b),
            (Some(a), None) => !apart(a, (other.judged.value, other.judged.value)),
            (None, Some(b)) => !apart((self.judged.value, self.judged.value), b),
            (None, None) => false,
        };
        let speed = !apart((self.speed.least, self.speed.most), (other.speed.least, other.speed.most));
        (quality, speed)
    }
}

impl Comparison {
    /// By every measure that judged a row.
    pub fn all(rows: &[Row]) -> Vec<Self> {
        Measure::all(rows).into_iter().filter_map(|measure| Self::new(rows, measure)).collect()
    }

    /// By one measure; none where it judged no row. Of a biased measure distances of unequal N are not compared: the
    /// rows of the N that most have are taken.
    pub fn new(rows: &[Row], measure: Measure) -> Option<Self> {
        let judged: Vec<(usize, Point)> = rows
            .iter()
            .enumerate()
            .filter_map(|(k, row)| {
                let speed = row.speed.as_ref()?.images_per_second;
                if row.error.is_some() || !is_positive(&speed) {
                    return None;
                }
                let judged = measure.of(row)?;
                let family = Family::of(&row.role);
                Some((measure.n(row), Point { row: k, family, speed, judged }))
            })
            .collect();
        let how_many = |n: usize| judged.iter().filter(|(other, _)| *other == n).count();
        let n = judged.iter().map(|&(n, _)| n).max_by_key(|&n| (how_many(n), n))?;
        let other_n: Vec<usize> = judged.iter().filter(|(m, _)| *m != n).map(|(_, p)| p.row).collect();
        let comparable = |row: usize| !measure.is_biased() || !other_n.contains(&row);
        let points: Vec<Point> = judged.iter().map(|&(_, p)| p).filter(|p| comparable(p.row)).collect();
        let of_n = points.iter().filter(|p| !other_n.contains(&p.row));
        let floor = of_n.into_iter().find_map(|p| measure.floor(&rows[p.row]));
        Some(Self { measure, n, points, other_n, floor })
    }

    /// The rows that no other is both faster and better than, from slow to fast.
    pub fn front(&self) -> Vec<Point> {
        front(&self.points)
    }

    /// The same among the rows of one family.
    pub fn front_of(&self, family: Family) -> Vec<Point> {
        front(&self.points.iter().copied().filter(|p| p.family == family).collect::<Vec<_>>())
    }

    /// A row of the front that dominates `point`: of several the best, then the fastest.
    pub fn dominator(&self, point: &Point) -> Option<Point> {
        self.front().into_iter().filter(|p| p.dominates(point)).min_by(|a, b| {
            a.judged.value.total_cmp(&b.judged.value).then(b.speed.median.total_cmp(&a.speed.median))
        })
    }

    /// The place of a row.
    pub fn point(&self, row: usize) -> Option<&Point> {
        self.points.iter().find(|p| p.row == row)
    }
}

fn front(points: &[Point]) -> Vec<Point> {
    let mut front: Vec<Point> =
        points.iter().copied().filter(|p| !points.iter().any(|other| other.dominates(p))).collect();
    front.sort_by(|a, b| a.speed.median.total_cmp(&b.speed.median));
    front
}

fn is_positive(speed: &Spread) -> bool {
    [speed.least, speed.median, speed.most].iter().all(|v| v.is_finite() && *v > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(row: usize, speed: f64, value: f64) -> Point {
        let speed = Spread { median: speed, least: 0.9 * speed, most: 1.1 * speed, rounds: 3 };
        let judged = Judged { value, interval: Some((value - 1.0, value + 1.0)) };
        Point { row, family: Family::Ours, speed, judged }
    }

    fn comparison(points: Vec<Point>) -> Comparison {
        Comparison { measure: Measure::Rmse, n: 10, points, other_n: vec![], floor: None }
    }

    fn rows(points: &[Point]) -> Vec<usize> {
        points.iter().map(|p| p.row).collect()
    }

    #[test]
    fn the_front_is_what_nothing_dominates_and_equals_do_not_dominate() {
        // 1 is slower and worse than 0; 3 equals 2; 4 is as fast as 2 but worse.
        let all = [(10.0, 5.0), (9.0, 6.0), (20.0, 8.0), (20.0, 8.0), (20.0, 8.5)];
        let c = comparison(all.iter().enumerate().map(|(k, &(s, v))| point(k, s, v)).collect());
        assert_eq!(rows(&c.front()), [0, 2, 3]);
        assert_eq!(c.dominator(&c.points[1]).map(|p| p.row), Some(0));
        assert_eq!(c.dominator(&c.points[4]).map(|p| p.row), Some(2));
        assert_eq!(c.dominator(&c.points[2]), None);
    }

    #[test]
    fn intervals_that_touch_leave_it_open() {
        let a = point(0, 10.0, 5.0);
        assert_eq!(a.near(&point(1, 10.5, 6.9)), (true, true));
        assert_eq!(a.near(&point(1, 20.0, 7.1)), (false, false));
        let exact = Point { judged: Judged { value: 5.5, interval: None }, ..point(1, 20.0, 0.0) };
        assert_eq!(a.near(&exact), (true, false));
        assert_eq!(exact.near(&a), (true, false));
    }
}
