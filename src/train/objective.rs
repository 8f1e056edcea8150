//! What is learned, and what is to fall.

use tch::Tensor;

use super::TrainError;
use super::examples::Examples;
use super::network::Network;
use crate::Sampler;
use crate::backbone::Parameters;

/// A loss and figures about it.
pub(super) struct Losses {
    /// The mean over the examples, a scalar that can be differentiated.
    pub total: Tensor,
    /// Figures for the log, scalars; means over the examples as well.
    pub parts: Vec<(String, Tensor)>,
}

/// A loss over tensors that are learned; tensors that are not are its own.
pub(super) trait Objective: Send {
    /// The loss of some examples; `learned` asks for gradients.
    fn losses(&self, learned: &Parameters, examples: &Examples) -> Result<Losses, TrainError>;

    /// What the losses are of.
    fn network(&self) -> &Network;

    /// What draws images with these values of the learned tensors, for sample sheets; at full depth unless said
    /// otherwise.
    fn sampler(&self, learned: &Parameters) -> Result<Sampler, TrainError> {
        self.network().sampler(learned)
    }

    /// The same for another thread.
    fn share(&self) -> Box<dyn Objective>;
}
