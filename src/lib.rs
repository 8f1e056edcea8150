//! offramp is a diffusion sampler that takes the early exit.
//!
//! A denoiser need not run all of its blocks at every step of every image. offramp wraps one, asks an exit
//! policy at each evaluation how deep each image must go, lets a cheap stand-in replace the rest, and
//! composes with the usual solvers. A run is the product of four values that know nothing of each other:
//!
//! | value | what it is | module |
//! |---|---|---|
//! | [`Backbone`](backbone::Backbone) | a denoiser that can be left after any of its blocks | [`backbone`] |
//! | [`SolverSpec`](solver::SolverSpec) | how x_t becomes the next x | [`solver`] |
//! | [`Exit`](exit::Exit) | where an evaluation leaves the backbone, per image | [`exit`] |
//! | [`Tail`](tail::Tail) | what stands in for the blocks that were skipped | [`tail`] |
//!
//! The [`Sampler`] composes them and tells an [`Observer`] what happens.
//!
//! ```no_run
//! use offramp::{Model, Request, Sampler, exit::Schedule};
//!
//! # fn main() -> Result<(), offramp::Error> {
//! let model = Model::open("weights/fashion-dit")?;
//! let exit = Schedule::read("schedules/fashion-dit/ase-demo.json")?;
//! let sampler = Sampler::new(model).with_exit(exit).with_solver("dpm-solver++2m".parse()?, 20);
//!
//! // One picture of each class, from seeds 7, 8, …
//! let outcome = sampler.sample(&Request::classes(0..10, 7), &mut ())?;
//! println!("ran {:.0} % of the block cost", 100.0 * outcome.cost_share());
//! for image in &outcome.samples {
//!     let pixels = image.to_array()?; // [C, H, W], in [-1, 1]
//!     println!("{} {:?} {:?}", image.image, pixels.shape(), image.depths);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here is global: no seed, no current device, no thread setting outlives a call (but diffusers-rs's
//! Euler, `diffusers:euler`, advances libtorch's generator, whose numbers it does not use). Every libtorch
//! call that input can make fail returns an [`Error`].

pub mod backbone;
#[cfg(feature = "bench")]
pub mod bench;
#[cfg(feature = "evaluate")]
mod cache;
pub mod calibrate;
#[cfg(feature = "evaluate")]
pub mod data;
pub mod digest;
mod engine;
mod error;
#[cfg(feature = "evaluate")]
pub mod evaluate;
pub mod exit;
#[cfg(feature = "evaluate")]
pub mod extract;
mod guidance;
pub mod learned;
mod linear;
pub mod noise;
mod observer;
pub mod output;
#[cfg(any(feature = "bench", feature = "train"))]
mod plot;
mod row_memory;
mod sampler;
pub mod solver;
pub mod tail;
#[cfg(feature = "train")]
pub mod train;

pub use backbone::Model;
pub use engine::{BatchLayout, MAX_THREADS};
pub use error::Error;
pub use guidance::{Guidance, GuidedChannels};
pub use observer::{Evaluated, Event, Observer, Sample};
/// The libtorch bindings whose tensors this crate takes and gives.
pub use tch;

pub use row_memory::RowMemory;
pub use sampler::{InitImage, Outcome, Request, RequestError, Sampler, Verify, VerifyError};
