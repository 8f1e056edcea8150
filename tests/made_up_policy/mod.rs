//! A policy put together by a test.

#![allow(dead_code, reason = "each test crate uses its own part")]

use std::sync::Arc;

use offramp::exit::{Bounds, Exit, ExitError, Moment, Pair, Verdict, View};

pub type Judge = dyn Fn(&mut View) -> Result<Option<Vec<Verdict>>, ExitError> + Send + Sync;

/// A policy put together by a test.
#[derive(Clone)]
pub struct Policy {
    pub bounds: Bounds,
    pub memory: usize,
    pub pair: Pair,
    pub judge: Arc<Judge>,
}

impl Policy {
    /// A policy of these bounds that judges so.
    pub fn new(
        bounds: Bounds,
        judge: impl Fn(&mut View) -> Result<Option<Vec<Verdict>>, ExitError> + Send + Sync + 'static,
    ) -> Self {
        Self { bounds, memory: 2, pair: Pair::Max, judge: Arc::new(judge) }
    }
}

impl Exit for Policy {
    fn spec(&self) -> String {
        "made-up".into()
    }

    fn bounds(&self, _moment: &Moment) -> Bounds {
        self.bounds
    }

    fn pair(&self) -> Pair {
        self.pair
    }

    fn memory(&self) -> usize {
        self.memory
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        (self.judge)(view)
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(self.clone())
    }
}

/// The same verdict on every row.
pub fn all(leave: bool, view: &View) -> Vec<Verdict> {
    vec![Verdict { leave, uncertainty: 0.5, limit: None }; view.t.len()]
}
