//! From depths at the evaluations of one solver to a schedule over real time, which any solver can follow.

use super::CalibrateError;
use crate::exit::Segment;

/// The segments that give `depths[e]` at `times[e]`, which fall: boundaries lie halfway between two evaluations, and
/// equal neighbours are one.
///
/// # Errors
/// The solver comes to a time twice, or goes back: a schedule cannot tell its evaluations apart.
pub fn segments(times: &[f64], depths: &[usize], timesteps: usize) -> Result<Vec<Segment>, CalibrateError> {
    if let Some(w) = times.windows(2).find(|w| w[1] >= w[0]) {
        return Err(CalibrateError::Times { t: w[0], next: w[1] });
    }
    let mut segments: Vec<Segment> = vec![];
    let mut to = timesteps as f64;
    for (e, &depth) in depths.iter().enumerate() {
        let from = times.get(e + 1).map_or(0.0, |next| (times[e] + next) / 2.0);
        match segments.last_mut() {
            Some(last) if last.depth == depth => last.from = from,
            _ => segments.push(Segment { from, to, depth }),
        }
        to = from;
    }
    segments.reverse();
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_lie_halfway_and_equal_neighbours_are_one() {
        let found = segments(&[999.0, 700.0, 400.0, 100.0], &[3, 3, 5, 12], 1000).unwrap();
        let expected = [(0.0, 250.0, 12), (250.0, 550.0, 5), (550.0, 1000.0, 3)];
        assert_eq!(found, expected.map(|(from, to, depth)| Segment { from, to, depth }));
        assert!(matches!(
            segments(&[999.0, 500.0, 500.0], &[1, 2, 3], 1000),
            Err(CalibrateError::Times { t: 500.0, next: 500.0 })
        ));
    }
}
