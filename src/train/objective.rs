//! What is learned, and what is to fall.

use tch::Tensor;

use super::TrainError;
use super::examples::Examples;
use crate::Sampler;
use crate::backbone::Parameters;
use crate::solver::Diffusion;

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

    /// What the learning rate of a learned tensor is multiplied by.
    fn haste(&self, _name: &str) -> f64 {
        1.0
    }

    /// The forward process that examples are noised by.
    fn diffusion(&self) -> &Diffusion;

    /// The class of dropped labels.
    fn null_class(&self) -> Option<i64>;

    /// The pixel values that black and white stand for.
    fn value_range(&self) -> [f64; 2];

    /// What draws images with these values of the learned tensors, for sample sheets.
    fn sampler(&self, learned: &Parameters) -> Result<Sampler, TrainError>;

    /// Writes a weights folder with these values of the learned tensors; its files are whole or not there.
    fn write(&self, learned: &Parameters, folder: &std::path::Path) -> Result<(), TrainError>;

    /// The same for another thread.
    fn share(&self) -> Box<dyn Objective>;
}
