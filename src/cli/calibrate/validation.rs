//! Schedules on images that they were not found on.

use offramp::exit::{Bounds, Exit, Moment};
use offramp::{Request, Sample};
use tch::{Kind, TchError};

use super::setting::Ground;
use crate::cli::Failure;
use crate::cli::interrupt::Interrupt;

/// Depths by evaluation.
#[derive(Clone)]
struct Depths(Vec<usize>);

impl Exit for Depths {
    fn spec(&self) -> String {
        "depths".into()
    }

    fn bounds(&self, moment: &Moment) -> Bounds {
        Bounds::exactly(self.0.get(moment.evaluation).copied().unwrap_or(moment.depth))
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(self.clone())
    }
}

/// What an exit drew.
pub struct Rolled {
    /// Mean block cost, as a share of full depth's.
    pub cost: f64,
    /// Mean squared difference of each image to full depth.
    pub square_errors: Vec<f64>,
}

/// Images at full depth, to compare with.
pub struct Validation<'a> {
    ground: &'a Ground,
    steps: usize,
    request: Request,
    full: Vec<Sample>,
}

impl<'a> Validation<'a> {
    pub fn new(ground: &'a Ground, steps: usize, request: Request) -> Result<Self, Failure> {
        let full = ground.sampler(steps)?.sample(&request, &mut ())?.samples;
        Ok(Self { ground, steps, request, full })
    }

    /// The request that was drawn.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Draws the images with an exit.
    pub fn exit(&self, exit: Box<dyn Exit>, interrupt: &Interrupt) -> Result<Rolled, Failure> {
        if interrupt.requested() {
            return Err(Failure::Interrupted { finished: 0, count: self.request.len() });
        }
        let sampler = self.ground.sampler(self.steps)?.with_exit(exit);
        let outcome = sampler.sample(&self.request, &mut ())?;
        let square_errors = square_errors(&outcome.samples, &self.full)?;
        Ok(Rolled { cost: outcome.cost_share(), square_errors })
    }

    /// Mean squared difference to full depth of the images that a schedule draws.
    pub fn square_error(&self, depths: &[usize], interrupt: &Interrupt) -> Result<f64, Failure> {
        let rolled = self.exit(Box::new(Depths(depths.to_vec())), interrupt)?;
        Ok(mean(&rolled.square_errors))
    }
}

/// Mean squared difference of each image of two lists.
pub fn square_errors(a: &[Sample], b: &[Sample]) -> Result<Vec<f64>, TchError> {
    let square =
        |(a, b): (&Sample, &Sample)| a.x.f_sub(&b.x)?.f_square()?.f_mean(Kind::Double)?.f_double_value(&[]);
    a.iter().zip(b).map(square).collect()
}

/// The mean of some numbers, at least one.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
