//! What a row says of the peer that drew it.

use super::{Drawn, Peer};
use crate::bench::{Line, PeerFacts, PeerTrial};

impl Peer {
    /// What is known of it, with what it drew last.
    pub fn facts(&self, drawn: &Drawn) -> PeerFacts {
        let trials = self.trials.iter().map(|trial| PeerTrial {
            arrangement: trial.arrangement.to_string(),
            evaluations_per_second: trial.evaluations_per_second,
        });
        PeerFacts {
            versions: self.versions(),
            trials: trials.collect(),
            compile_seconds: self.compile_seconds,
            forward_difference: self.forward_difference,
            image_difference: self.image_difference,
            taken_depth: drawn.taken_depth,
            images: usize::try_from(drawn.images.size()[0]).unwrap_or_default(),
        }
    }
}

impl PeerFacts {
    /// Of a point's rounds: those of the last, with the worst differences and the depth over all; none where no peer
    /// drew them.
    pub fn of<'a>(lines: impl Iterator<Item = &'a Line>) -> Option<Self> {
        let facts: Vec<&PeerFacts> = lines.filter_map(|line| line.peer.as_ref()).collect();
        let mut all: PeerFacts = (*facts.last()?).clone();
        all.images = facts.iter().map(|f| f.images).sum();
        let taken: Option<f64> = facts.iter().map(|f| Some(f.taken_depth? * f.images as f64)).sum();
        all.taken_depth = taken.map(|sum| sum / all.images as f64);
        for one in facts {
            all.compile_seconds = all.compile_seconds.max(one.compile_seconds);
            all.forward_difference = all.forward_difference.max(one.forward_difference);
            all.image_difference = all.image_difference.max(one.image_difference);
            // Another start may have found another way the fastest.
            for trial in &one.trials {
                if all.trials.iter().all(|t| t.arrangement != trial.arrangement) {
                    all.trials.push(trial.clone());
                }
            }
        }
        Some(all)
    }
}
