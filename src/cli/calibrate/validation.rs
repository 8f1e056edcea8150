//! Schedules on images that they were not found on.

use offramp::exit::{Bounds, Exit, Moment};
use offramp::{Request, Sample};

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
        let mut square_errors = vec![];
        for (early, full) in outcome.samples.iter().zip(&self.full) {
            let square = early.x.f_sub(&full.x)?.f_square()?.f_mean(tch::Kind::Double)?;
            square_errors.push(square.f_double_value(&[])?);
        }
        Ok(Rolled { cost: outcome.cost_share(), square_errors })
    }

    /// Mean squared difference to full depth of the images that a schedule draws.
    pub fn square_error(&self, depths: &[usize], interrupt: &Interrupt) -> Result<f64, Failure> {
        let rolled = self.exit(Box::new(Depths(depths.to_vec())), interrupt)?;
        Ok(rolled.square_errors.iter().sum::<f64>() / rolled.square_errors.len() as f64)
    }
}
