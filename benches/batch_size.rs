//! How many images should a worker take through the network at once?
//!
//! Images per second at full depth over the micro-batch's size, for one worker and two, one thread each.
//! The sizes take turns round by round. [`offramp::Layout`]'s default was chosen by this table.

mod measure {
    pub mod row;
    pub mod spread;
}

use std::time::Instant;

use measure::row::Rows;
use measure::spread::Spread;
use offramp::{Model, Request, Sampler};

const ROUNDS: usize = 3;
const STEPS: usize = 10;
const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rows = Rows::of("batch_size");
    for workers in [1, 2] {
        let images = 64 * workers;
        let request = Request::classes((0..images as i64).map(|k| k % 10), 0);
        let samplers = SIZES
            .map(|batch| -> Result<Sampler, offramp::backbone::ModelError> {
                Ok(Sampler::new(Model::open("weights/fashion-dit")?).with_batch(batch).with_threads(workers))
            })
            .into_iter()
            .map(|sampler| Ok(sampler?.with_solver("dpm-solver++2m".parse()?, STEPS)))
            .collect::<Result<Vec<Sampler>, Box<dyn std::error::Error>>>()?;
        samplers[0].sample(&Request::classes(0..2, 0), &mut ())?; // warm-up
        let mut rates = SIZES.map(|_| vec![]);
        for _ in 0..ROUNDS {
            for (sampler, rates) in samplers.iter().zip(&mut rates) {
                let start = Instant::now();
                sampler.sample(&request, &mut ())?;
                rates.push(images as f64 / start.elapsed().as_secs_f64());
            }
        }
        for (batch, rates) in SIZES.iter().zip(rates) {
            let what = format!("batch {batch}, {workers} × 1 thread, {STEPS} steps");
            rows.add(&what, " images/s", &Spread::of(rates), ..);
        }
    }
    rows.save(env!("CARGO_TARGET_TMPDIR"))?;
    Ok(())
}
