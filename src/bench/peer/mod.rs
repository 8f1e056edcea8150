//! Peers: other programs that draw the same images with the same weights, on the same machine.
//!
//! A peer is one or more Python processes (`scripts/peers/sampler_peer.py`) that hold the weights and wait on
//! a pipe while anything else is timed. Before a peer may be timed its forward must agree with ours, and, if
//! it is one that runs every block, its images with our full-depth images. It gets its initial noise from us,
//! times its own sampling loop, and writes its images into a file. Whatever goes wrong with it is a
//! [`PeerError`], whose text stands in the peer's row.
//!
//! With k threads it can be one process with k threads or k processes with one thread each: both are tried,
//! and the faster one is kept.

mod answer;
mod arrangement;
mod check;
mod child;
mod error;
mod facts;
mod program;
mod scheduler;

use std::path::PathBuf;

use serde_json::{Value, json};
use tch::{Kind, Tensor};
use tempfile::TempDir;

use self::answer::{Hello, Prepared, Timed, Written};
pub use self::arrangement::Arrangement;
use self::child::Child;
pub use self::error::PeerError;
pub use self::program::Program;
use super::Settings;
use crate::backbone::Model;
use crate::noise::{self, Draw};
use crate::sampler::Request;
use crate::solver::SolverSpec;

/// Largest difference of forwards, as a share of the largest output.
pub const FORWARD_AGREEMENT: f64 = 1e-5;
/// Largest difference of finished images of a peer that runs every block.
pub const IMAGE_AGREEMENT: f64 = 1e-3;

/// All peers by name, as `scripts/peers/README.md` describes them; some take `:threshold=X`.
pub const PEERS: [&str; 5] =
    ["diffusers-eager", "diffusers-compile", "plain-eager", "first-block-cache", "adadiff-rule"];

/// Another program with our weights, checked and ready to draw.
///
/// ```no_run
/// use offramp::bench::{Settings, peer::Peer};
/// use offramp::{Model, Request};
///
/// fn against(settings: &Settings) -> Result<(), Box<dyn std::error::Error>> {
///     let model = Model::open("weights/fashion-dit")?;
///     let mut peer = Peer::start("diffusers-eager", &model, settings)?;
///     let drawn = peer.draw(&Request::classes(0..10, 7))?;
///     println!("{}: {:.1} images/s", peer.arrangement(), 10.0 / drawn.seconds);
///     println!("{:?}", drawn.images.size()); // [10, C, H, W]
///     Ok(())
/// }
/// ```
pub struct Peer {
    name: String,
    hello: Hello,
    // Dropped before the folder that they read and write.
    children: Vec<Child>,
    folder: TempDir,
    run: Run,
    chw: [i64; 3],
    null_class: i64,
    trials: Vec<Trial>,
    arrangement: Arrangement,
    forward_difference: f64,
    image_difference: f64,
    compile_seconds: f64,
}

/// An arrangement and how fast it was, over a few steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// The arrangement.
    pub arrangement: Arrangement,
    /// Network evaluations of single images a second, the best of the rounds.
    pub evaluations_per_second: f64,
}

/// What a peer drew.
#[derive(Debug)]
pub struct Drawn {
    /// The images by index, f32 `[n, C, H, W]`, in the model's value range.
    pub images: Tensor,
    /// Seconds of the sampling loop, from the first process's start to the last one's end, by their clock.
    pub seconds: f64,
    /// Peak resident memory meanwhile, bytes, summed over the processes that drew; where there is `/proc`.
    pub peak_rss: Option<u64>,
    /// Blocks run per evaluation, on average.
    pub mean_depth: f64,
    /// Blocks run as a share of all blocks.
    pub cost_share: f64,
    /// Mean depth whose output was taken, where a peer runs blocks whose output it does not take.
    pub taken_depth: Option<f64>,
}

/// What a peer is to run.
struct Run {
    solver: Value,
    steps: usize,
    guidance: f64,
    batch: usize,
}

impl Peer {
    /// Starts a peer ([`PEERS`]) with the model's weights, checks it, and finds its faster arrangement.
    ///
    /// Of the settings it takes solver, steps, guidance, batch, dtype and threads; a peer has no exit or tail.
    ///
    /// # Errors
    /// No Python or script; settings that peers are not run with; a forward or images that differ from ours;
    /// whatever goes wrong in the other program.
    pub fn start(name: &str, model: &Model, settings: &Settings) -> Result<Self, PeerError> {
        Self::start_as(&Program::find()?, name, model, settings)
    }

    /// The same with a program of one's own.
    ///
    /// # Errors
    /// Those of [`Peer::start`].
    pub fn start_as(
        program: &Program,
        name: &str,
        model: &Model,
        settings: &Settings,
    ) -> Result<Self, PeerError> {
        if settings.dtype != "f32" || model.dtype != Kind::Float || model.device != tch::Device::Cpu {
            let got = format!("{}, weights {:?} on {:?}", settings.dtype, model.dtype, model.device);
            return Err(PeerError::Unsupported { got, known: "f32 on the CPU" });
        }
        let spec: SolverSpec = settings.solver.parse()?;
        let run = Run {
            solver: scheduler::describe(&spec)?,
            steps: settings.steps,
            guidance: settings.guidance,
            batch: settings.batch.max(1),
        };
        let arrangements = Arrangement::all(settings.threads.max(1));
        let processes = arrangements.iter().map(|a| a.processes).max().unwrap_or(1);
        let start = |_| Child::start(program, &model.folder, name);
        let mut children = (0..processes).map(start).collect::<Result<Vec<_>, _>>()?;
        let mut hellos = vec![];
        for child in &mut children {
            hellos.push(child.answer("start")?);
        }
        let mut peer = Self {
            name: name.to_owned(),
            hello: hellos.swap_remove(0),
            children,
            folder: tempfile::tempdir()?,
            run,
            chw: model.backbone.shape().chw(),
            // A request is checked against the model beforehand: no class means that there is a null class.
            null_class: model.config.null_class.unwrap_or(0),
            trials: vec![],
            arrangement: arrangements[arrangements.len() - 1],
            forward_difference: 0.0,
            image_difference: 0.0,
            compile_seconds: 0.0,
        };
        peer.check_forward(model, &arrangements)?;
        let request = peer.trial_request(model);
        peer.check_images(model, spec, settings.threads, &request)?;
        peer.choose(&arrangements, &request)?;
        Ok(peer)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The versions of its libraries.
    pub fn versions(&self) -> String {
        format!("torch {}, diffusers {}", self.hello.torch, self.hello.diffusers)
    }

    /// Whether it runs every block of every evaluation, so that its images are our full-depth images.
    pub fn is_exact(&self) -> bool {
        self.hello.exact
    }

    /// The arrangement in which it draws: the fastest one.
    pub fn arrangement(&self) -> Arrangement {
        self.arrangement
    }

    /// All arrangements with how fast each was.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The largest difference between its forward and ours, as a share of the largest output.
    pub fn forward_difference(&self) -> f64 {
        self.forward_difference
    }

    /// The largest difference of a pixel between its images and our full-depth images from the same noise.
    pub fn image_difference(&self) -> f64 {
        self.image_difference
    }

    /// Seconds that it compiled, of which no draw's time has a part; 0 for peers that do not compile.
    pub fn compile_seconds(&self) -> f64 {
        self.compile_seconds
    }

    /// Draws a request's images from the noise that our sampler starts from.
    ///
    /// Images that the request counts as done are drawn all the same. Fewer micro-batches than the arrangement has
    /// processes leave some of them idle.
    ///
    /// # Errors
    /// A request of no images, or from an image; whatever goes wrong in the other program, which is not to be
    /// used again then.
    pub fn draw(&mut self, request: &Request) -> Result<Drawn, PeerError> {
        let (arrangement, steps) = (self.arrangement, self.run.steps);
        self.draw_as(arrangement, steps, request)
    }

    fn draw_as(
        &mut self,
        arrangement: Arrangement,
        steps: usize,
        request: &Request,
    ) -> Result<Drawn, PeerError> {
        if request.is_empty() || request.init.is_some() {
            let got = if request.is_empty() { "a request of none" } else { "from an image" };
            return Err(PeerError::Unsupported { got: got.into(), known: "images from noise" });
        }
        let noise = self.noise(request)?;
        let class: Vec<i64> = request.classes.iter().map(|c| c.unwrap_or(self.null_class)).collect();
        let class = Tensor::f_from_slice(&class)?;
        let mut hands = arrangement.deal(request.len(), self.run.batch);
        hands.retain(|hand| !hand.is_empty());

        for (p, hand) in hands.iter().enumerate() {
            let index = crate::backbone::row_index(hand, &noise)?;
            let file = self.file(p, "noise");
            let (noise, class) = (noise.f_index_select(0, &index)?, class.f_index_select(0, &index)?);
            Tensor::write_safetensors(&[("noise", &noise), ("class", &class)], &file)?;
            let prepared: Prepared = self.children[p].ask(&json!({
                "order": "prepare", "file": file, "solver": self.run.solver, "steps": steps,
                "guidance": self.run.guidance, "batch": self.run.batch, "threads": arrangement.threads,
            }))?;
            self.compile_seconds += prepared.compile_seconds;
        }
        // Everything is loaded: now all at once.
        for child in &mut self.children[..hands.len()] {
            child.tell(&json!({ "order": "draw" }))?;
        }
        let mut timed: Vec<Timed> = vec![];
        for child in &mut self.children[..hands.len()] {
            timed.push(child.answer("draw")?);
        }
        let mut images = vec![];
        for (p, hand) in hands.iter().enumerate() {
            images.push(self.fetch(p, hand.len())?);
        }
        Ok(self.drawn(&hands, &images, &timed)?)
    }

    /// x_T of a request, `[n, C, H, W]`.
    fn noise(&self, request: &Request) -> Result<Tensor, PeerError> {
        if let Some(noise) = &request.initial_noise {
            return Ok(noise.shallow_clone());
        }
        let of = |k| noise::standard_normal(request.seed.wrapping_add(k as u64), Draw::Initial, self.chw);
        let all = (0..request.len()).map(of).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_stack(&all, 0)?)
    }

    /// The `n` images that process `p` drew last.
    fn fetch(&mut self, p: usize, n: usize) -> Result<Tensor, PeerError> {
        let file = self.file(p, "images");
        let written: Written = self.children[p].ask(&json!({ "order": "write", "file": file }))?;
        let tensors = Tensor::read_safetensors(&file)?;
        let [c, h, w] = self.chw;
        match tensors.into_iter().find(|(name, _)| name == "images") {
            Some((_, images)) if written.images == n && images.size() == [n as i64, c, h, w] => Ok(images),
            found => Err(PeerError::Answer {
                peer: self.name.clone(),
                order: "write".into(),
                answer: format!("images of shape {:?}", found.map(|(_, images)| images.size())),
            }),
        }
    }

    fn drawn(
        &self,
        hands: &[Vec<usize>],
        images: &[Tensor],
        timed: &[Timed],
    ) -> Result<Drawn, tch::TchError> {
        let order: Vec<i64> = hands.iter().flatten().map(|&k| k as i64).collect();
        let (back, blocks) = (Tensor::f_from_slice(&order)?.f_argsort(0, false)?, self.hello.blocks as f64);
        let start = timed.iter().map(|t| t.start).fold(f64::INFINITY, f64::min);
        let end = timed.iter().map(|t| t.end).fold(f64::NEG_INFINITY, f64::max);
        let evaluations = timed.iter().map(|t| t.evaluations).sum::<u64>() as f64;
        let mean_depth = timed.iter().map(|t| t.blocks_run).sum::<u64>() as f64 / evaluations;
        let taken = timed.iter().map(|t| Some(t.taken_depth? * t.evaluations as f64)).sum::<Option<f64>>();
        Ok(Drawn {
            images: Tensor::f_cat(images, 0)?.f_index_select(0, &back)?,
            seconds: end - start,
            peak_rss: timed.iter().map(|t| t.peak_rss).sum(),
            mean_depth,
            cost_share: mean_depth / blocks,
            taken_depth: taken.map(|taken| taken / evaluations),
        })
    }

    fn file(&self, process: usize, what: &str) -> PathBuf {
        self.folder.path().join(format!("{what}-{process}.safetensors"))
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut peer = f.debug_struct("Peer");
        peer.field("name", &self.name).field("arrangement", &self.arrangement).field("trials", &self.trials);
        peer.finish_non_exhaustive()
    }
}
