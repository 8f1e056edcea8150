//! How the other programs were run, in a line each.

use super::number::{count, fixed, significant};
use crate::bench::{PeerFacts, Row};

/// Their names and what is known of them.
pub fn told(rows: &[Row], names: &[String]) -> Vec<(String, String)> {
    let known = |(row, name): (&Row, &String)| Some((name.clone(), facts(row.peer.as_ref()?, row)));
    rows.iter().zip(names).filter_map(known).collect()
}

fn facts(peer: &PeerFacts, row: &Row) -> String {
    let mut parts = vec![];
    if let Some((fastest, others)) = peer.trials.split_first() {
        let speed = fastest.evaluations_per_second;
        let other = |t: &crate::bench::PeerTrial| {
            format!("{}: {}× as fast", t.arrangement, fixed(t.evaluations_per_second / speed, 2))
        };
        let others: Vec<String> = others.iter().map(other).collect();
        parts.push(match others.is_empty() {
            true => fastest.arrangement.clone(),
            false => format!("{} ({})", fastest.arrangement, others.join(", ")),
        });
    }
    if peer.compile_seconds > 0.0 {
        parts.push(format!("compiled in {} s, which is not in its times", fixed(peer.compile_seconds, 0)));
    }
    if let Some(depth) = peer.taken_depth {
        parts.push(format!("the output taken is that after {} blocks on average", fixed(depth, 2)));
    }
    parts.push(format!(
        "its forward differs from ours by {} of the largest output, a pixel from our full depth's by at most {}",
        significant(peer.forward_difference, 2),
        significant(peer.image_difference, 2)
    ));
    if peer.images < row.settings.n {
        let (images, all) = (count(peer.images), count(row.settings.n));
        parts.push(format!("drew {images} of {all} images, and is judged on these"));
    }
    parts.push(peer.versions.clone());
    format!("{}.", parts.join("; "))
}
