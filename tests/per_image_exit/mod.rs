//! A policy that decides for each image, as a test of the loop: leave once a block hardly turns the state.

use offramp::exit::{Bounds, Exit, ExitError, Moment, Verdict, View};

/// Leaves when one minus the cosine of L_i and L_{i−1} is below `threshold`.
#[derive(Clone, Copy)]
pub struct Saturated {
    pub threshold: f64,
    pub min: usize,
}

impl Exit for Saturated {
    fn spec(&self) -> String {
        format!("saturated:{}", self.threshold)
    }

    fn bounds(&self, moment: &Moment) -> Bounds {
        Bounds { min: self.min, max: moment.depth }
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        let (a, b) = (view.hidden.flatten(1, 2), view.previous.flatten(1, 2));
        let cosine = tch::Tensor::f_cosine_similarity(&a, &b, 1, 1e-8)?;
        let turned = Vec::<f32>::try_from(1.0 - cosine)?;
        let verdict = |turned| Verdict::below(turned, self.threshold);
        Ok(Some(turned.into_iter().map(verdict).collect()))
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(*self)
    }
}
