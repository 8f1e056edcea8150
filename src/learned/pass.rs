//! One pass through the network that stops nowhere and keeps the state at every exit.

use tch::{TchError, Tensor};

use super::LearnedExits;
use crate::backbone::{Backbone, Input, State};

/// The states of one batch at its exits, and at the end.
pub(crate) struct Pass<'a> {
    backbone: &'a dyn Backbone,
    exits: &'a LearnedExits,
    /// The exits that were passed, with L_i `[b, T, D]`.
    pub states: Vec<(usize, Tensor)>,
    /// Behind the last block.
    end: State,
}

impl<'a> Pass<'a> {
    /// Runs every block.
    pub fn run(backbone: &'a dyn Backbone, exits: &'a LearnedExits, input: &Input) -> Result<Self, TchError> {
        let mut state = backbone.begin(input)?;
        let mut states = vec![];
        for i in 0..backbone.depth() {
            backbone.block(i, &mut state)?;
            if exits.config().points.contains(&(i + 1)) {
                states.push((i + 1, state.hidden.shallow_clone()));
            }
        }
        Ok(Self { backbone, exits, states, end: state })
    }

    /// The timestep embedding, `[b, D]`.
    pub fn temb(&self) -> &Tensor {
        &self.end.temb
    }

    /// g_N, `[b, C, H, W]`.
    pub fn full(&self) -> Result<Tensor, TchError> {
        self.backbone.finish(self.backbone.depth(), self.end.share())
    }

    /// g_i of the state L_i after `depth` blocks: its head, then the network's own final layer, `[b, C, H, W]`.
    pub fn output(&self, depth: usize, hidden: &Tensor) -> Result<Tensor, TchError> {
        let hidden = match self.exits.head(depth) {
            Some(head) => head.forward(hidden)?,
            None => hidden.shallow_clone(),
        };
        self.backbone.finish(depth, State { hidden, ..self.end.share() })
    }
}
