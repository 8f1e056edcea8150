//! Other programs with our weights, side by side: checked against ours, then timed in turns.
//!
//! `make peers` sets up their Python and runs this. `offramp bench` puts the same peers into its table, with
//! their images' quality; this only says that they run, that they compute what we compute, and how fast.
//! Arguments are peers' names; without any, all are run.

use std::error::Error;
use std::time::Instant;

use offramp::bench::peer::{PEERS, Peer};
use offramp::bench::{Labels, Settings};
use offramp::{Model, Request, Sampler};

const WEIGHTS: &str = "weights/fashion-dit";
const IMAGES: usize = 64;
const ROUNDS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::open(WEIGHTS)?;
    let settings = Settings {
        weights: model.name.clone(),
        weights_sha256: model.sha256.clone(),
        exits_sha256: None,
        solver: "dpm-solver++2m".into(),
        steps: 10,
        exit: "full".into(),
        tail: "head".into(),
        guidance: 1.0,
        batch: 16,
        dtype: "f32".into(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        n: IMAGES,
        seed: 0,
        labels: Labels::Balanced,
    };
    let request = Request::classes((0..IMAGES as i64).map(|k| k % model.config.num_classes), settings.seed);
    let sampler = Sampler::new(model.share())
        .with_solver(settings.solver.parse()?, settings.steps)
        .with_batch(settings.batch)
        .with_threads(settings.threads);

    println!("{WEIGHTS}, {} in {} steps, batch {}", settings.solver, settings.steps, settings.batch);
    println!("\n| program | images/s | ours, in turns | arrangement | blocks run | forward | images |");
    println!("|---|---|---|---|---|---|---|");
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let names = if asked.is_empty() { PEERS.map(str::to_owned).to_vec() } else { asked };
    for name in &names {
        match row(name, &model, &settings, &sampler, &request) {
            Ok(row) => println!("| {name} | {row} |"),
            Err(error) => println!("| {name} | {error} | | | | | |"),
        }
    }
    println!("\nforward: largest difference from ours as a share of the largest output");
    println!("images: largest difference of a pixel from our full-depth images");
    Ok(())
}

/// The cells behind a peer's name.
fn row(
    name: &str,
    model: &Model,
    settings: &Settings,
    sampler: &Sampler,
    request: &Request,
) -> Result<String, Box<dyn Error>> {
    let mut peer = Peer::start(name, model, settings)?;
    let (mut ours, mut theirs, mut depth) = (vec![], vec![], 0.0);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        sampler.sample(request, &mut ())?;
        ours.push(start.elapsed().as_secs_f64());
        let drawn = peer.draw(request)?;
        theirs.push(drawn.seconds);
        depth = drawn.mean_depth;
    }
    let speed = |mut seconds: Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        IMAGES as f64 / seconds[seconds.len() / 2]
    };
    let fastest = peer.trials()[0].evaluations_per_second;
    let others = peer.trials()[1..].iter().map(|trial| {
        format!("; {}: {:.2}× as fast", trial.arrangement, trial.evaluations_per_second / fastest)
    });
    let compiled = match peer.compile_seconds() {
        0.0 => String::new(),
        seconds => format!("; compiled in {seconds:.0} s"),
    };
    Ok(format!(
        "{:.1} | {:.1} | {}{}{compiled} | {depth:.1} | {:.0e} | {:.0e}",
        speed(theirs),
        speed(ours),
        peer.arrangement(),
        others.collect::<String>(),
        peer.forward_difference(),
        peer.image_difference()
    ))
}
