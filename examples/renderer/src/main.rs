//! A shop window whose clothes are drawn by a diffusion model while one watches.
//!
//! Two collections hang on the same rail, one after the other, from one [`offramp::Sampler`]. Each comes
//! into focus as it is sampled: after every evaluation the predicted clean images are the textures of a
//! frame. Then it sways for a while. The frames are numbered PNGs, and the last one is `scene.png`.
//!
//! - [`garment`]: a generated image becomes a texture with a transparent background;
//! - [`scene`]: where things hang and stand, and a frame of it; [`backdrop`] is what never moves;
//! - [`fitting`]: a run of the sampler, watched, and broken off when its time is over;
//! - [`film`]: frames on disk.

mod backdrop;
mod brush;
mod failure;
mod film;
mod fitting;
mod garment;
mod options;
mod scene;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use offramp::exit::{ExitSpec, Rule};
use offramp::{Model, Request, Sampler};

use crate::failure::Failure;
use crate::film::Film;
use crate::fitting::fit;
use crate::options::{Options, USAGE};
use crate::scene::{COLLECTIONS, PLACES, Scene};

/// The offramp repository, which holds the weights and their schedules.
const OFFRAMP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn main() -> ExitCode {
    let done = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => render(&options),
        Ok(None) => {
            println!("{USAGE}");
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// A sampler of the bundled weights that leaves as the named schedule says.
fn sampler(exit: &str) -> Result<Sampler, Failure> {
    let root = Path::new(OFFRAMP);
    let exit = ExitSpec::from(Rule::Schedule(exit.into()));
    let model = Model::open(root.join("weights/fashion-dit")).map_err(offramp::Error::from)?;
    let schedules = root.join("schedules/fashion-dit");
    let exit = exit.build(&schedules, model.exits.as_ref()).map_err(offramp::Error::from)?;
    Ok(Sampler::new(model).with_exit(exit))
}

fn render(options: &Options) -> Result<(), Failure> {
    let sampler = sampler(&options.exit)?;
    let mut film = Film::open(&options.out)?;
    let scene = Scene::new();
    // One sampler serves every collection, also after a run that was broken off.
    for (number, palette) in COLLECTIONS.iter().enumerate() {
        let seed = options.seed.wrapping_add((number * PLACES.len()) as u64);
        let request = Request::classes(PLACES.map(|place| place.class), seed);
        let budget = options.budget_ms.filter(|_| number == 0).map(Duration::from_millis);
        let fitting = fit(&sampler, &request, palette, budget, |garments| {
            let time = film.time();
            film.write(&scene.frame(garments, time))
        })?;
        println!("collection {}: {fitting}", number + 1);
        for _ in 0..options.frames {
            let time = film.time();
            film.write(&scene.frame(&fitting.garments, time))?;
        }
        film.write_still(&scene.frame(&fitting.garments, film.time()))?;
    }
    println!("{} frames and scene.png in {}", film.finish(), options.out.display());
    Ok(())
}
