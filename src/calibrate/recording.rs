//! What a schedule is searched on, measured once for a solver and its steps: exits' errors along trajectories, and what
//! leaving early does to the image.
//!
//! The latter is measured, not worked out: the solver's coefficients leave out that the network corrects what came
//! before, and overrate noisy steps by orders of magnitude. Every span of evaluations in turn is left at every exit that
//! is looked at, all others run to the end, and v is the change of the image. ‖v‖² is what leaving there costs, and the
//! inner products of all v say what exits do together ([`Interplay`]). w = ‖v‖² / Σ e over the span is the weight of an
//! error then.

use std::ops::Range;

use ndarray::{Array2, Array3, Axis};
use tch::{Kind, Tensor};

use super::{CalibrateError, ErrorTable, Interplay, Look, Trajectories};
use crate::error::Error;
use crate::exit::{Bounds, Exit, Moment};
use crate::observer::Sample;
use crate::sampler::{Request, Sampler};

/// What was measured for one solver and number of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Solver steps.
    pub steps: usize,
    /// Exits' errors.
    pub trajectories: Trajectories,
    /// Evaluations that leave together, in order: S numbers.
    pub sizes: Vec<usize>,
    /// Depths of the exits that were looked at, ascending: P.
    pub exits: Vec<usize>,
    /// Inner products of the images' changes, `[S·P, S·P]`, mean over images and their numbers; s·P + p is exit p in span
    /// s.
    pub products: Array2<f64>,
    /// Mean squared distance of full-depth images from those of many more steps; none if it was not measured.
    pub discretisation: Option<f64>,
}

/// Leaves after so many blocks in one span, and runs all other evaluations to the end.
#[derive(Debug, Clone)]
struct Once {
    span: Range<usize>,
    depth: usize,
}

impl Exit for Once {
    fn spec(&self) -> String {
        format!("fixed:{},only={}-{}", self.depth, self.span.start, self.span.end - 1)
    }

    fn bounds(&self, moment: &Moment) -> Bounds {
        let here = self.span.contains(&moment.evaluation);
        Bounds::exactly(if here { self.depth } else { moment.depth })
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(self.clone())
    }
}

/// `evaluations` in at most `spans` spans whose lengths differ by one at most; the longer ones come first, near the noise.
pub fn spans(evaluations: usize, spans: usize) -> Vec<usize> {
    let spans = spans.clamp(1, evaluations.max(1));
    (0..spans).map(|s| evaluations / spans + usize::from(s < evaluations % spans)).collect()
}

impl Recording {
    /// Measures it on the images of a request.
    ///
    /// The sampler must be at full depth, with the tail that is to be searched for; `ages` is as for
    /// [`Look`]. A tail that remembers needs spans of one evaluation. `go_on` hears now and then which of
    /// how many runs is done; `None` once it said no.
    ///
    /// # Errors
    /// What [`Sampler::run`] refuses, and whatever libtorch does; a depth that is no exit; longer spans than the tail
    /// takes.
    pub fn measure(
        sampler: Sampler,
        request: &Request,
        ages: usize,
        most_spans: usize,
        exits: &[usize],
        go_on: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Self>, Error> {
        let steps = sampler.solver().1;
        let evaluations = sampler.evaluations(request)?.len();
        let sizes = spans(evaluations, most_spans);
        if sampler.tail().remembers() && sizes.len() < evaluations {
            return Err(CalibrateError::Spans { tail: sampler.tail().spec(), evaluations }.into());
        }
        let runs = 1 + exits.len() * sizes.len();
        let look = Look { tail: sampler.tail(), guidance: sampler.guidance(), ages };
        let followed = Trajectories::follow(&sampler, request, &look, &mut || go_on(0, runs))?;
        let Some((trajectories, full)) = followed else { return Ok(None) };
        if let Some(&depth) = exits.iter().find(|depth| !trajectories.points.contains(depth)) {
            return Err(CalibrateError::NoExit { depth, points: trajectories.points }.into());
        }
        let numbers = |samples: &[Sample]| {
            let rows: Vec<&Tensor> = samples.iter().map(|sample| &sample.x).collect();
            Tensor::f_stack(&rows, 0)?.f_flatten(0, -1)?.f_to(tch::Device::Cpu) // [M·C·H·W]
        };
        let full = numbers(&full)?;
        let mut changes = vec![];
        let (mut sampler, mut first) = (sampler, 0);
        for &size in &sizes {
            for &depth in exits {
                if !go_on(1 + changes.len(), runs) {
                    return Ok(None);
                }
                sampler = sampler.with_exit(Once { span: first..first + size, depth });
                changes.push(numbers(&sampler.sample(request, &mut ())?.samples)?.f_sub(&full)?);
            }
            first += size;
        }
        let count = full.numel() as f64;
        let changes = Tensor::f_stack(&changes, 0)?.f_to_kind(Kind::Double)?; // [S·P, M·C·H·W]
        let products = changes.f_matmul(&changes.f_transpose(0, 1)?)?.f_div_scalar(count)?;
        let products: ndarray::ArrayD<f64> = (&products).try_into()?;
        let side = sizes.len() * exits.len();
        let products = Array2::from_shape_vec((side, side), products.into_iter().collect())
            .map_err(|e| tch::TchError::Shape(e.to_string()))?;
        Ok(Some(Self { steps, trajectories, sizes, exits: exits.to_vec(), products, discretisation: None }))
    }

    /// Mean squared change of the image by leaving in span s at exit p, `[S, P]`.
    pub fn changes(&self) -> Array2<f64> {
        let exits = self.exits.len();
        Array2::from_shape_fn((self.sizes.len(), exits), |(s, p)| self.products[[s * exits + p; 2]])
    }

    /// e, `[evaluations, points, A]`, mean over images.
    pub fn mean_errors(&self) -> Array3<f64> {
        let errors = &self.trajectories.errors;
        errors.mean_axis(Axis(3)).unwrap_or_else(|| Array3::zeros((0, 0, 0)))
    }

    /// Σ e over each span, `[S, P, A]`.
    fn span_errors(&self) -> Array3<f64> {
        let errors = self.mean_errors();
        let of: Vec<usize> =
            self.exits.iter().filter_map(|d| self.trajectories.points.binary_search(d).ok()).collect();
        let starts: Vec<usize> =
            self.sizes.iter().scan(0, |first, &size| Some(std::mem::replace(first, *first + size))).collect();
        Array3::from_shape_fn((self.sizes.len(), self.exits.len(), errors.dim().2), |(s, p, a)| {
            (starts[s]..starts[s] + self.sizes[s]).map(|e| errors[[e, of[p], a]]).sum()
        })
    }

    /// w, `[S, P]`: the mean squared change of an image over the mean squared errors behind it; 0 where nothing errs.
    pub fn weights(&self) -> Array2<f64> {
        let (mut weights, errors) = (self.changes(), self.span_errors());
        for ((s, p), weight) in weights.indexed_iter_mut() {
            let error = errors[[s, p, 0]];
            *weight = if error > 0.0 && error.is_finite() { *weight / error } else { 0.0 };
        }
        weights
    }

    /// What it comes to, for a backbone of `depth` blocks whose exits cost `cost(d)`: at ages above 1 a change grows as
    /// the exit's error does.
    pub fn table(&self, depth: usize, cost: impl Fn(usize) -> f64, remembers: bool) -> ErrorTable {
        let (weights, mut errors) = (self.weights(), self.span_errors());
        for ((s, p, _), error) in errors.indexed_iter_mut() {
            *error *= weights[[s, p]];
        }
        let interplay = Interplay { products: self.products.clone(), exits: self.exits.len() };
        ErrorTable {
            points: self.exits.clone(),
            depth,
            costs: self.exits.iter().map(|&d| cost(d)).collect(),
            errors,
            sizes: self.sizes.clone(),
            interplay: (!remembers).then_some(interplay),
            remembers,
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    #[test]
    fn weights_are_changes_over_the_errors_of_a_span() {
        let trajectories = Trajectories {
            times: vec![900.0, 500.0, 100.0],
            points: vec![2, 4, 6],
            // Means over the two images: 4, 2, 1 at the first evaluation, 8, 4, 0 at the others.
            errors: Array4::from_shape_vec(
                (3, 3, 1, 2),
                [
                    [3.0, 5.0, 1.0, 3.0, 1.0, 1.0],
                    [8.0, 8.0, 4.0, 4.0, 0.0, 0.0],
                    [8.0, 8.0, 4.0, 4.0, 0.0, 0.0],
                ]
                .concat(),
            )
            .unwrap(),
        };
        let products = Array2::from_diag(&ndarray::arr1(&[8.0, 3.0, 4.0, 0.5]));
        let recording = Recording {
            steps: 3,
            trajectories,
            sizes: vec![1, 2],
            exits: vec![2, 6],
            products,
            discretisation: None,
        };
        assert_eq!(recording.changes().into_raw_vec_and_offset().0, [8.0, 3.0, 4.0, 0.5]);
        assert_eq!(recording.weights().into_raw_vec_and_offset().0, [2.0, 3.0, 0.25, 0.0]);
        let table = recording.table(8, |d| d as f64 / 8.0, false);
        assert_eq!(table.errors.into_raw_vec_and_offset().0, [8.0, 3.0, 4.0, 0.0]);
        assert_eq!((table.costs, table.sizes), (vec![0.25, 0.75], vec![1, 2]));
    }

    #[test]
    fn spans_are_as_even_as_can_be() {
        assert_eq!(spans(10, 4), [3, 3, 2, 2]);
        assert_eq!(spans(3, 20), [1, 1, 1]);
        assert_eq!(spans(5, 0), [5]);
    }
}
