//! Does a skipped block save its time?
//!
//! r = (full time ÷ exit time) ÷ (full cost ÷ cost run). 1 means that every saved block saved its time;
//! embedders, output head, solver and bookkeeping, which are never skipped, pull it down. Full depth and
//! exits take turns in one process, so that whatever else the machine does falls on both, and r is the
//! median over rounds. Fixed depths show how r falls as fewer blocks are left to pay for the rest.
//!
//! DDIM in 5 trailing steps visits each segment of `ase-demo` once.
//!
//! What looking costs when it is in vain: every estimator asked and nobody let go, against full depth, which asks none.

mod measure {
    pub mod row;
    pub mod spread;
}

use std::ops::Bound;
use std::time::Instant;

use measure::row::Rows;
use measure::spread::Spread;
use offramp::exit::ExitSpec;
use offramp::{Model, Request, Sampler};

const STEPS: usize = 5;
/// Exits that were trained: a schedule and a threshold, each with what r ought to be at micro-batch 1 and 64.
const TRAINED: [&str; 2] = ["schedule:brisk", "uncertainty:0.0115"];
const TRAINED_BOUNDS: [(usize, f64); 2] = [(1, 0.90), (64, 0.95)];
/// In %, of asking every estimator in vain.
const MOST_OVERHEAD: f64 = 2.0;

/// Seconds and share of the block cost of one run.
struct Run {
    seconds: f64,
    cost_share: f64,
}

/// One way of spreading images over the processor; each worker runs on one thread.
struct Case {
    weights: &'static str,
    batch: usize,
    workers: usize,
    /// Images per round and worker.
    images: usize,
}

impl Case {
    fn sampler(&self, exit: &str) -> Result<Sampler, Box<dyn std::error::Error>> {
        let model = Model::open(format!("weights/{}", self.weights))?;
        let schedules = format!("schedules/{}", self.weights);
        let exit = exit.parse::<ExitSpec>()?.build(schedules.as_ref(), model.exits.as_ref())?;
        let sampler = Sampler::new(model)
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
        exits: &[&str],
        rounds: usize,
        least: Bound<f64>,
        table: &mut Rows,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let full = self.sampler("full")?;
        let early = exits.iter().map(|exit| self.sampler(exit)).collect::<Result<Vec<_>, _>>()?;
        let shares = early.iter().map(|sampler| Ok(self.run(sampler)?.cost_share)); // also warms up
        let shares = shares.collect::<Result<Vec<f64>, offramp::Error>>()?;
        let mut ratios: Vec<Vec<f64>> = early.iter().map(|_| vec![]).collect();
        for _ in 0..rounds {
            let full = self.run(&full)?;
            for ((sampler, share), ratios) in early.iter().zip(&shares).zip(&mut ratios) {
                ratios.push(full.seconds / self.run(sampler)?.seconds * share);
            }
        }
        for ((exit, share), ratios) in exits.iter().zip(shares).zip(ratios) {
            let Self { weights, batch, workers, .. } = self;
            let what =
                format!("r of {exit} on {weights} (cost {share:.3}), batch {batch}, {workers} × 1 thread");
            table.add(&what, "", &Spread::of(ratios), (least, Bound::Unbounded));
        }
        Ok(())
    }

    /// Rounds of full depth and then an exit that never leaves.
    fn overhead(
        &self,
        exit: &str,
        rounds: usize,
        table: &mut Rows,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let (full, looking) = (self.sampler("full")?, self.sampler(exit)?);
        assert_eq!(self.run(&looking)?.cost_share, 1.0, "{exit} leaves");
        self.run(&full)?;
        let mut overheads = vec![];
        for round in 0..rounds {
            // Whichever comes first would gain or lose by it every time.
            let (full, looking) = match round % 2 {
                0 => (self.run(&full)?, self.run(&looking)?),
                _ => {
                    let looking = self.run(&looking)?;
                    (self.run(&full)?, looking)
                }
            };
            overheads.push(100.0 * (looking.seconds / full.seconds - 1.0));
        }
        let Self { weights, batch, workers, .. } = self;
        let what = format!(
            "{exit} on {weights}, which never leaves, over full, batch {batch}, {workers} × 1 thread"
        );
        table.add(&what, " %", &Spread::of(overheads), ..=MOST_OVERHEAD);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rows = Rows::of("exit_ratio");
    for (batch, workers, images, rounds) in [(64, 1, 64, 7), (64, 2, 64, 7), (1, 1, 4, 21), (1, 2, 4, 21)] {
        let case = Case { weights: "fashion-dit", batch, workers, images };
        let least = if batch == 64 { Bound::Included(0.93) } else { Bound::Unbounded };
        case.measure(&["schedule:ase-demo"], rounds, least, &mut rows)?;
        if workers == 1 {
            case.measure(&["fixed:3", "fixed:6", "fixed:9"], rounds / 2, Bound::Unbounded, &mut rows)?;
        }
    }
    for ((batch, least), rounds) in TRAINED_BOUNDS.into_iter().zip([41, 9]) {
        let case = Case { weights: "fashion-dit-exits", batch, workers: 1, images: batch.max(4) };
        case.measure(&TRAINED, rounds, Bound::Included(least), &mut rows)?;
    }
    let case = Case { weights: "fashion-dit-exits", batch: 64, workers: 1, images: 64 };
    case.overhead("uncertainty:0", 16, &mut rows)?;
    rows.save(env!("CARGO_TARGET_TMPDIR"))?;
    Ok(())
}
