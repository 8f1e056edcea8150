//! Does a skipped block save its time?
//!
//! r = (full time ÷ exit time) ÷ (full cost ÷ cost run). 1 means that every saved block saved its time;
//! embedders, output head, solver and bookkeeping, which are never skipped, pull it down. Full depth and
//! exits take turns in one process, so that whatever else the machine does falls on both, and r is the
//! median over rounds. Fixed depths show how r falls as fewer blocks are left to pay for the rest.
//!
//! DDIM in 5 trailing steps visits each segment of `ase-demo` once.

mod measure {
    pub mod row;
    pub mod spread;
}

use std::ops::Bound;
use std::time::Instant;

use measure::row::Rows;
use measure::spread::Spread;
use offramp::exit::{Exit, Fixed, Full, Schedule};
use offramp::{Model, Request, Sampler};

const STEPS: usize = 5;
const BOUND: f64 = 0.93;

/// Seconds and share of the block cost of one run.
struct Run {
    seconds: f64,
    cost_share: f64,
}

/// One way of spreading images over the processor; each worker runs on one thread.
struct Case {
    batch: usize,
    workers: usize,
    /// Images per round and worker.
    images: usize,
}

impl Case {
    fn sampler(&self, exit: Box<dyn Exit>) -> Result<Sampler, Box<dyn std::error::Error>> {
        let sampler = Sampler::new(Model::open("weights/fashion-dit")?)
            .with_solver("ddim:spacing=trailing".parse()?, STEPS)
            .with_batch(self.batch)
            .with_threads(self.workers)
            .with_exit(exit);
        let layout = sampler.layout(self.images * self.workers);
        assert_eq!((layout.workers, layout.intra_op), (self.workers, 1));
        Ok(sampler)
    }

    fn run(&self, sampler: &Sampler) -> Result<Run, offramp::Error> {
        let classes = (0..(self.images * self.workers) as i64).map(|k| k % 10);
        let request = Request::classes(classes, 0);
        let start = Instant::now();
        let outcome = sampler.sample(&request, &mut ())?;
        Ok(Run { seconds: start.elapsed().as_secs_f64(), cost_share: outcome.cost_share() })
    }

    /// Rounds of full depth and then each exit; one row an exit.
    fn measure(
        &self,
        exits: Vec<Box<dyn Exit>>,
        rounds: usize,
        least: Bound<f64>,
        table: &mut Rows,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let full = self.sampler(Box::new(Full))?;
        let early = exits.into_iter().map(|exit| self.sampler(exit)).collect::<Result<Vec<_>, _>>()?;
        let shares = early.iter().map(|sampler| Ok(self.run(sampler)?.cost_share)); // also warms up
        let shares = shares.collect::<Result<Vec<f64>, offramp::Error>>()?;
        let mut ratios: Vec<Vec<f64>> = early.iter().map(|_| vec![]).collect();
        for _ in 0..rounds {
            let full = self.run(&full)?;
            for ((sampler, share), ratios) in early.iter().zip(&shares).zip(&mut ratios) {
                ratios.push(full.seconds / self.run(sampler)?.seconds * share);
            }
        }
        for ((sampler, share), ratios) in early.iter().zip(shares).zip(ratios) {
            let (exit, Self { batch, workers, .. }) = (sampler.exit().spec(), self);
            let what = format!("r of {exit} (cost {share:.3}), batch {batch}, {workers} × 1 thread");
            table.add(&what, "", &Spread::of(ratios), (least, Bound::Unbounded));
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rows = Rows::of("exit_ratio");
    for (batch, workers, images, rounds) in [(64, 1, 64, 7), (64, 2, 64, 7), (1, 1, 4, 21), (1, 2, 4, 21)] {
        let case = Case { batch, workers, images };
        let schedule = Schedule::read("schedules/fashion-dit/ase-demo.json")?;
        let least = if batch == 64 { Bound::Included(BOUND) } else { Bound::Unbounded };
        case.measure(vec![Box::new(schedule)], rounds, least, &mut rows)?;
        if workers == 1 {
            let fixed = [3, 6, 9].map(|depth| Box::new(Fixed { depth }) as Box<dyn Exit>);
            case.measure(fixed.into(), rounds / 2, Bound::Unbounded, &mut rows)?;
        }
    }
    rows.save(env!("CARGO_TARGET_TMPDIR"))?;
    Ok(())
}
