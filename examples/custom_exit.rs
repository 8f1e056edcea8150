//! An exit policy of one's own: leave as soon as a block hardly turns the hidden state any more.
//!
//! `cargo run --release --example custom_exit` prints how deep each of ten images went.

use offramp::exit::{Bounds, Exit, ExitError, Moment, Verdict, View};
use offramp::{Model, Request, Sampler};
use tch::Tensor;

/// Leaves once L_i differs from L_{i−1} by less than a threshold, as one minus their cosine, from block 4 on.
#[derive(Clone)]
struct Saturation(f64);

impl Exit for Saturation {
    fn spec(&self) -> String {
        format!("saturation:{}", self.0)
    }

    fn bounds(&self, moment: &Moment) -> Bounds {
        Bounds { min: 4, max: moment.depth }
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        let (now, before) = (view.hidden.f_flatten(1, 2)?, view.previous.f_flatten(1, 2)?); // [R, T·D]
        let cosine = Tensor::f_cosine_similarity(&now, &before, 1, 1e-8)?; // [R]
        let turned = Vec::<f32>::try_from(cosine.f_rsub_scalar(1.0)?)?;
        let verdict = |turned| Verdict::below(turned, self.0);
        Ok(Some(turned.into_iter().map(verdict).collect()))
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(self.clone())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sampler = Sampler::new(Model::open("weights/fashion-dit")?).with_exit(Saturation(0.03));
    let outcome = sampler.sample(&Request::classes(0..10, 7), &mut ())?;
    for image in &outcome.samples {
        println!("image {}: {:?}", image.image, image.depths);
    }
    println!("ran {:.0} % of the block cost", 100.0 * outcome.cost_share());
    Ok(())
}
