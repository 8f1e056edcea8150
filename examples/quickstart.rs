//! The shortest use of offramp as a library: ten pictures, most of the work.
//!
//! `cargo run --release --example quickstart` writes `out/quickstart.png`.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

use offramp::exit::Schedule;
use offramp::output::{Pixels, write_sheet};
use offramp::{Event, Model, Request, Sampler};

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::open("weights/fashion-dit")?;
    let range = model.config.value_range;
    let exit = Schedule::read("schedules/fashion-dit/ase-demo.json")?;
    let sampler = Sampler::new(model).with_exit(exit).with_solver("dpm-solver++2m".parse()?, 20);

    // An observer hears every evaluation of every image; returning `Break` would cancel the run.
    let outcome = sampler.sample(&Request::classes(0..10, 7), &mut |event: &Event| {
        if let Event::Evaluated(e) = event
            && e.image == 0
        {
            println!(
                "evaluation {:>2} of {}: t = {:>3}, ran {:>2} blocks",
                e.evaluation + 1,
                e.evaluations,
                e.t,
                e.depth
            );
        }
        ControlFlow::Continue(())
    })?;

    println!("ran {:.0} % of the block cost", 100.0 * outcome.cost_share());
    let images =
        outcome.samples.iter().map(|s| Pixels::from_tensor(&s.x, range)).collect::<Result<Vec<_>, _>>()?;
    std::fs::create_dir_all("out")?;
    write_sheet(Path::new("out/quickstart.png"), &images, 10)?;
    Ok(())
}
