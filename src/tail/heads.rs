//! `heads`: the trained head of each exit readies its state for the backbone's final layer
//! ([`ExitHead`](crate::learned::ExitHead)).
//!
//! It rests on a_i alone and remembers nothing. At a depth that has no head of its own a_i stands for itself, as
//! with [`Head`](super::Head): a head starts as the shared one, so there it is an untrained head.

use tch::{TchError, Tensor};

use super::Tail;
use crate::learned::{HeadKind, LearnedExits};

/// The trained heads.
#[derive(Debug)]
pub struct Heads {
    exits: LearnedExits,
}

impl Heads {
    /// The heads of these exits; none where all share the backbone's own.
    pub fn new(exits: &LearnedExits) -> Option<Self> {
        match exits.config().heads {
            HeadKind::Shared => None,
            _ => Some(Self { exits: exits.share() }),
        }
    }
}

impl Tail for Heads {
    fn spec(&self) -> String {
        "heads".into()
    }

    fn stand_in(&self, depth: usize, a: &Tensor) -> Result<Tensor, TchError> {
        match self.exits.head(depth) {
            Some(head) => head.forward(a),
            None => Ok(a.shallow_clone()),
        }
    }

    fn share(&self) -> Box<dyn Tail> {
        Box::new(Self { exits: self.exits.share() })
    }
}
