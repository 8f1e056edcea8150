//! A policy that notes what another one says, and what comes of it.

#![allow(dead_code, reason = "each test crate uses its own part")]

use std::sync::{Arc, Mutex};

use offramp::exit::{Departure, Exit, ExitError, Verdict, View};

/// A verdict on one row.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    pub evaluation: usize,
    pub depth: usize,
    /// The image's place in the batch.
    pub image: usize,
    pub half: usize,
    pub verdict: Verdict,
}

/// All that was said and done in a run.
#[derive(Debug, Default)]
pub struct Log {
    pub verdicts: Vec<Judged>,
    /// Blocks that each half ran: evaluation by evaluation, image by image.
    pub departures: Vec<Vec<usize>>,
}

/// Another policy, overheard.
pub struct Listening {
    exit: Box<dyn Exit>,
    log: Arc<Mutex<Log>>,
}

impl Listening {
    pub fn to(exit: Box<dyn Exit>) -> (Self, Arc<Mutex<Log>>) {
        let log = Arc::default();
        (Self { exit, log: Arc::clone(&log) }, log)
    }
}

impl Exit for Listening {
    fn spec(&self) -> String {
        self.exit.spec()
    }

    fn around(&self) -> Option<&dyn Exit> {
        Some(&*self.exit)
    }

    fn judge(&self, view: &mut View) -> Result<Option<Vec<Verdict>>, ExitError> {
        let verdicts = self.exit.judge(view)?;
        let judged = |(row, &verdict): (usize, &Verdict)| Judged {
            evaluation: view.evaluation[row],
            depth: view.depth,
            image: view.image[row],
            half: view.half[row],
            verdict,
        };
        self.log.lock().unwrap().verdicts.extend(verdicts.iter().flatten().enumerate().map(judged));
        Ok(verdicts)
    }

    fn left(&self, departure: &mut Departure) -> Result<(), ExitError> {
        self.log.lock().unwrap().departures.push(departure.at.to_vec());
        self.exit.left(departure)
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(Self { exit: self.exit.share(), log: Arc::clone(&self.log) })
    }
}
