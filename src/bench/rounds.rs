//! Which images are drawn in which round.
//!
//! A round draws the same images for every point. It is a whole number of *units*: as many images as fill
//! every worker with micro-batches of any size in the plan, so that no worker idles at a round's end and a
//! shard, which is some of the rounds, splits no micro-batch.

use std::ops::Range;

use super::BenchError;
use super::plan::Plan;
use super::plan_error::PlanError;
use crate::evaluate::Shard;

/// More rounds than this say no more about the spread.
const MOST_ROUNDS: usize = 16;

/// The rounds of a shard, of `rounds` in all.
///
/// # Errors
/// Fewer than two rounds a shard: the first of each only warms up.
pub(super) fn rounds_of(shard: Shard, rounds: usize) -> Result<Range<usize>, BenchError> {
    let of = shard.of();
    if rounds / 2 < of {
        let reason = format!(
            "the plan has {rounds} rounds, and each of {of} shards needs two, since the first warms up: set rounds = {} \
             or more",
            of.saturating_mul(2)
        );
        return Err(BenchError::Shard { shard: shard.to_string(), reason });
    }
    Ok(shard.part(rounds))
}

/// The images of each round.
///
/// # Errors
/// N is no whole number of units, or there are fewer units than rounds.
pub fn rounds(plan: &Plan) -> Result<Vec<Range<usize>>, PlanError> {
    let threads = plan.threads();
    let batches = plan.batch.iter().copied().chain(plan.point.iter().filter_map(|p| p.batch));
    let unit = batches.fold(1, |unit, batch| lcm(unit, batch.saturating_mul(threads)));
    let n = plan.n;
    if !n.is_multiple_of(unit) {
        let below = n / unit * unit;
        let nearest = if below == 0 { unit.to_string() } else { format!("{below} or {}", below + unit) };
        let reason = format!(
            "it must be a whole number of {unit} images, which fill {threads} threads with every batch of the plan: \
             {nearest}"
        );
        return Err(PlanError::value("n", n, reason));
    }
    let units = n / unit;
    if units < 2 {
        let reason = format!(
            "two rounds are needed, one to warm up and one to time, of at least {unit} images each: n = {} or more",
            2 * unit
        );
        return Err(PlanError::value("n", n, reason));
    }
    let rounds = plan.rounds.unwrap_or(units.min(MOST_ROUNDS));
    if !(2..=units).contains(&rounds) {
        let reason = format!("2 to {units}: one warms up, and each draws at least {unit} images");
        return Err(PlanError::value("rounds", rounds, reason));
    }
    Ok((0..rounds).map(|r| r * units / rounds * unit..(r + 1) * units / rounds * unit).collect())
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).saturating_mul(b)
}
