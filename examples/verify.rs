//! When verify mode pays: acceptance, final error, predicted cost and measured time for some K and τ.
//!
//! `cargo run --release --example verify` draws with `fashion-dit-exits` and the drafts of its schedule `swift`, at batch
//! 1 and 16 on one libtorch thread each; rounds are interleaved, times are medians.

use std::time::Instant;

use offramp::exit::{Full, Schedule};
use offramp::{Model, Outcome, Request, Sampler, Verify};

const WEIGHTS: &str = "weights/fashion-dit-exits";
const SCHEDULE: &str = "schedules/fashion-dit-exits/swift.json";
const STEPS: usize = 20;
const SEED: u64 = 1;
const ROUNDS: usize = 3;
const DRAFTED: [usize; 2] = [2, 4];
const TOLERANCES: [f64; 3] = [0.005, 0.01, f64::INFINITY];

/// One row of the table.
struct Row {
    name: String,
    sampler: Sampler,
    seconds: Vec<f64>,
    outcome: Option<Outcome>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::open(WEIGHTS)?;
    let exit = Schedule::read(SCHEDULE)?;
    println!(
        "{WEIGHTS}, drafts of swift, DPM-Solver++ 2M, {STEPS} steps, seeds from {SEED}, {ROUNDS} rounds"
    );
    for (batch, images) in [(1, 8), (16, 16)] {
        let plain = || -> Result<Sampler, offramp::Error> {
            let sampler = Sampler::new(model.share()).with_batch(batch).with_threads(1);
            Ok(sampler.with_solver("dpm-solver++2m".parse()?, STEPS))
        };
        let mut rows = vec![Row::new("full".into(), plain()?.with_exit(Full))];
        rows.push(Row::new("swift, unverified".into(), plain()?.with_exit(exit.clone())));
        for steps in DRAFTED {
            for tolerance in TOLERANCES {
                let verified = plain()?.with_exit(exit.clone()).with_verify(Verify { steps, tolerance });
                rows.push(Row::new(format!("K = {steps}, τ = {tolerance}"), verified));
            }
        }
        let request = Request::classes((0..images).map(|k| k % 10), SEED);
        // The first run of each is not timed.
        for round in 0..=ROUNDS {
            for row in &mut rows {
                let start = Instant::now();
                row.outcome = Some(row.sampler.sample(&request, &mut ())?);
                if round > 0 {
                    row.seconds.push(start.elapsed().as_secs_f64());
                }
            }
        }
        println!("\n| batch {batch} | accepted | RMSE to full | predicted time | measured time |");
        println!("|---|---:|---:|---:|---:|");
        let full = rows[0].median();
        for row in &rows {
            if let (Some(outcome), Some(reference)) = (&row.outcome, &rows[0].outcome) {
                let accepted = match outcome.acceptance() {
                    share if share.is_nan() => String::new(),
                    share => format!("{:.0} %", 100.0 * share),
                };
                println!(
                    "| {} | {accepted} | {:.4} | {:.2} | {:.2} |",
                    row.name,
                    rmse(outcome, reference)?,
                    outcome.cost_share(),
                    row.median() / full
                );
            }
        }
    }
    println!("\nTimes are shares of full depth's; the predicted one is of block cost.");
    Ok(())
}

impl Row {
    fn new(name: String, sampler: Sampler) -> Self {
        Self { name, sampler, seconds: vec![], outcome: None }
    }

    fn median(&self) -> f64 {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Over all images, x in [−1, 1].
fn rmse(ours: &Outcome, full: &Outcome) -> Result<f64, offramp::Error> {
    let mut sum = 0.0;
    for (a, b) in ours.samples.iter().zip(&full.samples) {
        sum += a.x.f_sub(&b.x)?.f_square()?.f_mean(None)?.f_double_value(&[])?;
    }
    Ok((sum / ours.samples.len() as f64).sqrt())
}
