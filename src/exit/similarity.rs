//! `similarity:THRESHOLD`: leave where a block hardly turns the hidden state any more (MuE, Tang et al. 2023, arXiv
//! 2211.11152: hidden states saturate). No training.
//!
//! After block i it compares `cos(L_i, L_{i−1})`, over all numbers of a row, and lets the row go above the threshold.
//! That is a certainty: in traces its uncertainty is one minus the cosine. Block 1 is compared with what the
//! embedding gives.

use tch::{Kind, Tensor};

use super::{Exit, ExitError, Threshold, Verdict, View};

/// Leaves where successive states are more alike than the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Similarity(pub Threshold);

/// Below such a norm a state is nothing, and like nothing.
const TINY: f64 = 1e-12;

impl Exit for Similarity {
    fn spec(&self) -> String {
        format!("similarity:{}", self.0)
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        let flat = |state: &Tensor| state.f_flatten(1, -1)?.f_to_kind(Kind::Float); // [R, T·D]
        let cosine = Tensor::f_cosine_similarity(&flat(view.hidden)?, &flat(view.previous)?, 1, TINY)?; // [R]
        // In f64 from here: near 1 the difference is what counts.
        let alike = Vec::<f64>::try_from(cosine.f_to_kind(Kind::Double)?.f_to(tch::Device::Cpu)?)?;
        // Rounding takes equal states a little above 1.
        let alike = alike.into_iter().map(|cosine| cosine.min(1.0));
        let threshold = self.0.value();
        let verdict = |alike: f64| Verdict {
            leave: alike > threshold,
            uncertainty: (1.0 - alike) as f32,
            limit: Some((1.0 - threshold) as f32),
        };
        Ok(Some(alike.map(verdict).collect()))
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(*self)
    }
}
