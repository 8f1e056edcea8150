//! A fitting: one run of the sampler, watched evaluation by evaluation.
//!
//! Images are spread over workers, so their events interleave. An evaluation is shown once all garments
//! have been through it; what is on the rail is therefore of one time, and the frames do not depend on
//! which worker was faster.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use offramp::{Event, Outcome, Request, Sampler};

use crate::brush::Rgb;
use crate::failure::Failure;
use crate::garment::Garment;

/// What hangs at the end of a run.
pub struct Fitting {
    /// One garment for each image of the request, as far as it came.
    pub garments: Vec<Garment>,
    /// What the sampler says of the run.
    pub outcome: Outcome,
    /// Evaluations that were shown.
    pub shown: usize,
    /// Time it took, the drawing of frames included.
    pub took: Duration,
}

/// Samples `request` and calls `show` with the predicted clean images after every evaluation, each in the
/// colour of `palette`; breaks off when `budget` is over, after one evaluation at the least.
///
/// # Errors
/// What the sampler refuses, and what `show` returns: the run stops there.
pub fn fit(
    sampler: &Sampler,
    request: &Request,
    palette: &[Rgb],
    budget: Option<Duration>,
    mut show: impl FnMut(&[Garment]) -> Result<(), Failure>,
) -> Result<Fitting, Failure> {
    let started = Instant::now();
    let range = sampler.model().config.value_range;
    let mut waiting: BTreeMap<usize, BTreeMap<usize, Garment>> = BTreeMap::new(); // evaluation → image
    let mut garments = vec![];
    let mut shown = 0;
    let mut watch = |event: &Event| -> Result<ControlFlow<()>, Failure> {
        let Event::Evaluated(e) = event else { return Ok(ControlFlow::Continue(())) };
        let row = waiting.entry(e.evaluation).or_default();
        row.insert(e.image, Garment::new(&e.x0, range, palette[e.image % palette.len()])?);
        if row.len() < request.len() {
            return Ok(ControlFlow::Continue(()));
        }
        garments = waiting.remove(&e.evaluation).unwrap_or_default().into_values().collect();
        shown += 1;
        show(&garments)?;
        let over = budget.is_some_and(|b| started.elapsed() >= b) && shown < e.evaluations;
        Ok(if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    // An observer answers only "go on" or "stop"; why it stopped is kept here.
    let mut failure = None;
    let outcome = sampler.sample(request, &mut |event: &Event| {
        watch(event).unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        })
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if !outcome.cancelled {
        let finished = outcome.samples.iter().zip(palette.iter().cycle());
        garments = finished.map(|(s, &tint)| Garment::new(&s.x, range, tint)).collect::<Result<_, _>>()?;
    }
    Ok(Fitting { garments, outcome, shown, took: started.elapsed() })
}

impl fmt::Display for Fitting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, shown, ms) = (self.garments.len(), self.shown, self.took.as_millis());
        write!(f, "{count} garments, ")?;
        match self.outcome.cancelled {
            true => {
                write!(f, "broken off after {shown} evaluation{}, {ms} ms", if shown == 1 { "" } else { "s" })
            }
            false => {
                let percent = 100.0 * self.outcome.cost_share();
                write!(f, "{shown} evaluations, {percent:.0} % of the block cost, {ms} ms with drawing")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{COLLECTIONS, PLACES};

    fn request(seed: u64) -> Request {
        Request::classes(PLACES.map(|place| place.class), seed)
    }

    fn sampler() -> Sampler {
        crate::sampler("ase-demo").expect("the bundled weights and schedule")
    }

    fn fitted(sampler: &Sampler, seed: u64, budget: Option<Duration>) -> Fitting {
        fit(sampler, &request(seed), &COLLECTIONS[0], budget, |_| Ok(())).expect("a run")
    }

    fn images(fitting: &Fitting) -> Vec<Vec<f32>> {
        let images = fitting.outcome.samples.iter();
        images.map(|s| s.to_array().expect("an image").iter().copied().collect()).collect()
    }

    #[test]
    fn a_run_out_of_time_ends_early_with_what_it_has() {
        let fitting = fitted(&sampler(), 1, Some(Duration::ZERO));
        assert!(fitting.outcome.cancelled);
        assert_eq!(fitting.shown, 1);
        assert_eq!(fitting.garments.len(), PLACES.len());
    }

    #[test]
    fn a_sampler_keeps_nothing_from_one_run_to_the_next() {
        let one = sampler();
        fitted(&one, 9, Some(Duration::ZERO)); // a run that was broken off leaves no trace either
        let again = [1, 2].map(|seed| images(&fitted(&one, seed, None)));
        let fresh = [1, 2].map(|seed| images(&fitted(&sampler(), seed, None)));
        assert_eq!(again, fresh);
        assert_ne!(again[0], again[1]);
    }

    #[test]
    fn a_failure_to_show_a_frame_ends_the_run_and_is_returned() {
        let full = || Failure::Frame { file: "frame".into(), reason: "disk full".into() };
        let run = fit(&sampler(), &request(1), &COLLECTIONS[0], None, |_| Err(full()));
        assert!(matches!(run, Err(Failure::Frame { .. })));
    }
}
