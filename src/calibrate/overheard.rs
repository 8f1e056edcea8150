//! The scores of a policy along full-depth trajectories, at every exit that it looks at.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::exit::{Bounds, Exit, ExitError, Moment, Verdict, View};
use crate::sampler::{Request, Sampler};

/// A policy that is asked, noted, and never heeded.
struct Overheard {
    exit: Box<dyn Exit>,
    scores: Arc<Mutex<Vec<f64>>>,
}

impl Exit for Overheard {
    fn spec(&self) -> String {
        self.exit.spec()
    }

    fn around(&self) -> Option<&dyn Exit> {
        Some(&*self.exit)
    }

    fn bounds(&self, moment: &Moment) -> Bounds {
        Bounds { min: self.exit.bounds(moment).min, max: moment.depth }
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        let Some(verdicts) = self.exit.judge(view)? else { return Ok(None) };
        let mut scores = self.scores.lock().unwrap_or_else(PoisonError::into_inner);
        scores.extend(verdicts.iter().map(|v| f64::from(v.uncertainty)).filter(|u| u.is_finite()));
        Ok(Some(verdicts.into_iter().map(|v| Verdict { leave: false, limit: None, ..v }).collect()))
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(Self { exit: self.exit.share(), scores: self.scores.clone() })
    }
}

/// The finite uncertainties that `exit` has along the full-depth trajectories of a request, rising.
///
/// # Errors
/// What [`Sampler::run`] refuses, and whatever libtorch does.
pub fn overheard(sampler: Sampler, exit: Box<dyn Exit>, request: &Request) -> Result<Vec<f64>, Error> {
    let scores = Arc::new(Mutex::new(vec![]));
    sampler.with_exit(Overheard { exit, scores: scores.clone() }).run(request, &mut ())?;
    let mut scores = std::mem::take(&mut *scores.lock().unwrap_or_else(PoisonError::into_inner));
    // Workers note them in any order.
    scores.sort_by(f64::total_cmp);
    Ok(scores)
}
