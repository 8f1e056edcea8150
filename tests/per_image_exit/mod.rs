//! A policy that decides for each image, as a test of the loop: leave once a block hardly turns the state.

use offramp::exit::{Bounds, Exit, ExitError, Verdict, View};

/// Leaves when the cosine of L_i and L_{i−1} exceeds `threshold`.
#[derive(Clone, Copy)]
pub struct Saturated {
    pub threshold: f64,
    pub min: usize,
}

impl Exit for Saturated {
    fn spec(&self) -> String {
        format!("saturated:{}", self.threshold)
    }

    fn bounds(&self, _t: f64, depth: usize) -> Bounds {
        Bounds { min: self.min, max: depth }
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        let (a, b) = (view.hidden.flatten(1, 2), view.previous.flatten(1, 2));
        let cosine = Vec::<f32>::try_from(tch::Tensor::f_cosine_similarity(&a, &b, 1, 1e-8)?)?;
        let verdict = |score: f32| Verdict { leave: f64::from(score) > self.threshold, score };
        Ok(Some(cosine.into_iter().map(verdict).collect()))
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(*self)
    }
}
