//! `offramp generate`: everything is checked first, then images are drawn and written one by one.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use offramp::exit::ExitSpec;
use offramp::output::{
    Existing, ImageParameters, OutputError, OutputFolder, Parameters, Pixels, RunParameters, check_writable,
    read_image, read_noise, read_png, write_npz, write_png, write_sheet,
};
use offramp::solver::SolverSpec;
use offramp::{Event, Guidance, GuidedChannels, Model, Request, Sample, Sampler};
use tch::{Device, Kind};

use super::interrupt::Interrupt;
use super::preview::Preview;
use super::progress::Progress;
use super::trace::Trace;
use super::{Failure, classes, places};

/// Draws images.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    offramp generate --class all --schedule ase-demo --grid clothes.png\n  \
    offramp generate --class sneaker --count 100 --steps 10 --seed 7 --out sneakers\n  \
    offramp generate --class dress --solver ddim:eta=1 --steps 50 --guidance 1.5 --guidance-interval 200,800")]
pub struct Args {
    /// A weights folder, or its name under weights/.
    #[arg(long, default_value = "fashion-dit", value_name = "NAME|DIR")]
    weights: String,

    /// What to draw: a label, an index, all, none (unconditional), or a list of them that images take in
    /// turn.
    #[arg(long, default_value = "all", value_name = "NAME|INDEX|all")]
    class: String,

    /// How many images; by default one of each class named.
    #[arg(long, value_name = "N")]
    count: Option<usize>,

    /// Solver steps.
    #[arg(long, default_value_t = 20, value_name = "N")]
    steps: usize,

    /// The solver and its options, NAME[:KEY=VALUE,…]: ddim, ddpm, dpm-solver-2, dpm-solver-3,
    /// dpm-solver++1, dpm-solver++2m, dpm-solver++3m, dpm-solver++2m-sde, euler, euler-ancestral, heun,
    /// unipc, diffusers:NAME.
    #[arg(long, default_value = "dpm-solver++2m", value_name = "SPEC")]
    solver: String,

    /// Where evaluations leave the network: full, fixed:DEPTH, schedule:NAME|FILE.
    #[arg(long, default_value = "full", value_name = "SPEC")]
    exit: String,

    /// Short for --exit schedule:NAME|FILE.
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "exit")]
    schedule: Option<String>,

    /// Classifier-free guidance scale; 1 is none.
    #[arg(long, default_value_t = 1.0, value_name = "SCALE", allow_negative_numbers = true)]
    guidance: f64,

    /// Times at which guidance acts.
    #[arg(long, value_name = "LO,HI", value_delimiter = ',', num_args = 1, allow_negative_numbers = true)]
    guidance_interval: Option<Vec<f64>>,

    /// Channels that guidance acts on, from the first; by default all.
    #[arg(long, value_name = "N")]
    guidance_channels: Option<usize>,

    /// The seed of image 0; image k is drawn from this + k.
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,

    /// Initial noise [N, C, H, W] in place of the seeds' (.npy or .npz).
    #[arg(long, value_name = "FILE")]
    noise: Option<PathBuf>,

    /// Start from this image (PNG or JPEG of the model's size).
    #[arg(long, value_name = "IMAGE")]
    init: Option<PathBuf>,

    /// Share of the steps run from --init, in (0, 1].
    #[arg(long, default_value_t = 0.6, value_name = "S", requires = "init", allow_negative_numbers = true)]
    strength: f64,

    /// Images per micro-batch; by default chosen from count and threads.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,

    /// CPU threads; by default one a core.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// cpu, cuda or cuda:INDEX.
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: String,

    /// Arithmetic of the network: f32 or bf16.
    #[arg(long, default_value = "f32", value_parser = ["f32", "bf16"])]
    dtype: String,

    /// The folder that images go into, as NNNNNN.png.
    #[arg(long, default_value = "out", value_name = "DIR")]
    out: PathBuf,

    /// Keep finished images in --out and draw the missing ones.
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,

    /// Replace images in --out.
    #[arg(long)]
    overwrite: bool,

    /// Also write all images as one contact sheet.
    #[arg(long, value_name = "FILE.png")]
    grid: Option<PathBuf>,

    /// Also write all images as arr_0 (u8, NHWC) and labels as arr_1.
    #[arg(long, value_name = "FILE.npz")]
    npz: Option<PathBuf>,

    /// Write a sheet of the first predictions into OUT/preview every K evaluations.
    #[arg(long, value_name = "K")]
    preview_every: Option<usize>,

    /// Write depths and scores of every image and evaluation.
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,

    /// JSON lines on stdout: one per image, one at the end.
    #[arg(long)]
    pub json: bool,

    /// No progress and no summary.
    #[arg(long, short)]
    quiet: bool,
}

/// A run whose every part has been checked.
struct Run {
    args: Args,
    sampler: Sampler,
    request: Request,
    folder: OutputFolder,
    parameters: RunParameters,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen();
    Run::prepare(args)?.draw(&interrupt)
}

impl Run {
    /// Turns arguments into a sampler, a request and an open folder; nothing is written if one is wrong.
    fn prepare(args: Args) -> Result<Self, Failure> {
        if args.threads == Some(0) {
            return Err(Failure::option("--threads", 0, "at least one thread is needed"));
        }
        if args.preview_every == Some(0) {
            return Err(Failure::option("--preview-every", 0, "every how many evaluations? at least 1"));
        }
        let guidance = guidance(&args)?;
        let solver: SolverSpec = args.solver.parse()?;
        let exit: ExitSpec = match &args.schedule {
            Some(schedule) => ExitSpec::Schedule(schedule.clone()),
            None => args.exit.parse()?,
        };
        let device = device(&args.device)?;
        let weights = places::weights(&args.weights)?;
        let policy = exit.build(&places::schedules(&weights))?;
        let dtype = if args.dtype == "bf16" { Kind::BFloat16 } else { Kind::Float };
        let model = Model::open_on(&weights, device, dtype)?;

        let request = request(&args, &model)?;
        let mut sampler = Sampler::new(model)
            .with_boxed_exit(policy)
            .with_solver(solver, args.steps)
            .with_guidance(guidance);
        if let Some(batch) = args.batch {
            sampler = sampler.with_batch(batch);
        }
        if let Some(threads) = args.threads {
            sampler = sampler.with_threads(threads);
        }
        sampler.check(&request)?;
        let channels = sampler.model().backbone.shape().channels as usize;
        if channels != 1 && channels != 3 {
            return Err(OutputError::Channels { channels }.into());
        }
        let parameters = parameters(&args, &sampler, &request, &exit)?;

        for file in [&args.grid, &args.npz, &args.trace].into_iter().flatten() {
            check_writable(match file.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            })?;
        }
        let existing = match (args.resume, args.overwrite) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Overwrite,
            _ => Existing::Refuse,
        };
        let folder = OutputFolder::open(&args.out, existing)?;
        let mut run = Self { args, sampler, request, folder, parameters };
        if existing == Existing::Resume {
            run.request.done = run.folder.finished(run.request.len(), &run.parameters)?;
        }
        Ok(run)
    }

    fn draw(self, interrupt: &Interrupt) -> Result<(), Failure> {
        let evaluations = self.sampler.evaluations(&self.request)?;
        let value_range = self.sampler.model().config.value_range;
        let left = self.request.len() - self.request.done.len();
        let mut progress =
            Progress::new((left * evaluations.len()) as u64, self.args.quiet || self.args.json);
        let mut trace = self.args.trace.as_ref().map(|_| Trace::new(self.parameters.clone(), &evaluations));
        let mut preview = match self.args.preview_every {
            Some(every) => {
                let folder = self.args.out.join("preview");
                std::fs::create_dir_all(&folder)
                    .map_err(|source| OutputError::NotWritable { folder: folder.clone(), source })?;
                let drawn = (0..self.request.len()).filter(|k| !self.request.done.contains(k));
                Some(Preview::new(folder, every, drawn, value_range))
            }
            None => None,
        };

        let start = Instant::now();
        let mut totals = Totals::default();
        let mut failure: Option<Failure> = None;
        let complete = self.sampler.run(&self.request, &mut |event: &Event| {
            let handled = match event {
                Event::Evaluated(evaluated) => {
                    progress.tick();
                    preview.as_mut().map_or(Ok(()), |p| p.see(evaluated).map_err(Failure::from))
                }
                Event::Finished(sample) => {
                    totals.add(sample);
                    if let Some(trace) = &mut trace {
                        trace.add(sample);
                    }
                    self.write(sample)
                }
                _ => Ok(()),
            };
            if let Err(error) = handled {
                failure.get_or_insert(error);
            }
            match failure.is_some() || interrupt.requested() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        progress.finish();
        if let Some(failure) = failure {
            return Err(failure);
        }
        let complete = complete?;
        totals.seconds = start.elapsed().as_secs_f64();
        // The trace of an interrupted run says what was done.
        if let (Some(trace), Some(file)) = (trace, &self.args.trace) {
            trace.write(file)?;
        }
        if !complete {
            let finished = self.request.done.len() + totals.images;
            return Err(Failure::Interrupted { finished, count: self.request.len() });
        }
        self.write_collections()?;
        self.summary(&totals);
        Ok(())
    }

    /// Writes a finished image.
    fn write(&self, sample: &Sample) -> Result<(), Failure> {
        let config = &self.sampler.model().config;
        let image = ImageParameters {
            image: sample.image,
            seed: sample.seed,
            class: sample.class,
            label: sample.class.map(|c| config.class_name(c)),
            depths: sample.depths.clone(),
        };
        let pixels = Pixels::from_tensor(&sample.x, config.value_range)?;
        let file = self.folder.image(sample.image);
        let parameters = Parameters { run: self.parameters.clone(), image };
        write_png(&file, &pixels, Some(&parameters))?;
        if self.args.json {
            let line = serde_json::json!({
                "event": "image", "image": sample.image, "seed": sample.seed, "class": sample.class,
                "file": file, "depths": sample.depths, "cost_share": sample.cost / sample.full_cost,
            });
            println!("{line}");
        }
        Ok(())
    }

    /// The grid and the npz, read back from the folder so that resumed images are in them too.
    fn write_collections(&self) -> Result<(), Failure> {
        if self.args.grid.is_none() && self.args.npz.is_none() {
            return Ok(());
        }
        let count = self.request.len();
        let images = (0..count).map(|k| read_png(&self.folder.image(k))).collect::<Result<Vec<_>, _>>()?;
        if let Some(file) = &self.args.grid {
            let kinds: BTreeSet<_> = self.request.classes.iter().collect();
            let columns = if kinds.len() > 1 { kinds.len() } else { (count as f64).sqrt().ceil() as usize };
            write_sheet(file, &images, columns)?;
        }
        if let Some(file) = &self.args.npz {
            let labels: Vec<i64> = self.request.classes.iter().map(|c| c.unwrap_or(-1)).collect();
            write_npz(file, &images, &labels)?;
        }
        Ok(())
    }

    fn summary(&self, totals: &Totals) {
        let share = totals.cost_share();
        let depth = self.sampler.model().backbone.depth();
        if self.args.json {
            let line = serde_json::json!({
                "event": "done", "images": totals.images, "kept": self.request.done.len(),
                "seconds": totals.seconds, "images_per_second": totals.images as f64 / totals.seconds,
                "cost_share": share, "mean_depth": totals.mean_depth(), "depth": depth,
                "predicted_speedup": 1.0 / share, "out": self.args.out,
            });
            println!("{line}");
        } else if !self.args.quiet {
            println!(
                "{} images in {:.1} s ({:.2} images/s) in {}",
                totals.images,
                totals.seconds,
                totals.images as f64 / totals.seconds,
                self.args.out.display()
            );
            if totals.images > 0 {
                println!(
                    "ran {:.0} % of block cost (mean depth {:.1} of {depth}): predicted {:.2}×",
                    100.0 * share,
                    totals.mean_depth(),
                    1.0 / share
                );
            }
        }
    }
}

/// Sums over the images of a run.
#[derive(Default)]
struct Totals {
    images: usize,
    cost: f64,
    full_cost: f64,
    depths: usize,
    evaluations: usize,
    seconds: f64,
}

impl Totals {
    fn add(&mut self, sample: &Sample) {
        self.images += 1;
        self.cost += sample.cost;
        self.full_cost += sample.full_cost;
        self.depths += sample.depths.iter().sum::<usize>();
        self.evaluations += sample.depths.len();
    }

    fn cost_share(&self) -> f64 {
        if self.full_cost > 0.0 { self.cost / self.full_cost } else { 1.0 }
    }

    fn mean_depth(&self) -> f64 {
        self.depths as f64 / self.evaluations.max(1) as f64
    }
}

fn guidance(args: &Args) -> Result<Guidance, Failure> {
    let mut guidance = Guidance::scale(args.guidance);
    if let Some(interval) = &args.guidance_interval {
        guidance.interval = <[f64; 2]>::try_from(interval.as_slice()).map_err(|_| {
            let typed: Vec<String> = interval.iter().map(f64::to_string).collect();
            Failure::option("--guidance-interval", typed.join(","), "two times are needed, LO,HI")
        })?;
    }
    if let Some(n) = args.guidance_channels {
        guidance.channels = GuidedChannels::First(n);
    }
    Ok(guidance)
}

fn device(name: &str) -> Result<Device, Failure> {
    match name.split_once(':') {
        None if name == "cpu" => Ok(Device::Cpu),
        None if name == "cuda" => Ok(Device::Cuda(0)),
        Some(("cuda", index)) if index.parse::<u16>().is_ok() => {
            Ok(Device::Cuda(index.parse().unwrap_or_default()))
        }
        _ => Err(Failure::option("--device", name, "there are cpu, cuda and cuda:INDEX")),
    }
}

fn request(args: &Args, model: &Model) -> Result<Request, Failure> {
    let named = classes::parse(&args.class, &model.config)?;
    let count = args.count.unwrap_or(named.len());
    let mut request = Request::classes([], args.seed);
    request.classes = named.iter().copied().cycle().take(count).collect();
    if let Some(file) = &args.noise {
        request = request.with_noise(read_noise(file)?);
    }
    if let Some(file) = &args.init {
        let pixels = read_image(file, model.backbone.shape())?;
        request = request.with_init(pixels.to_tensor(model.config.value_range)?, args.strength);
    }
    Ok(request)
}

fn parameters(
    args: &Args,
    sampler: &Sampler,
    request: &Request,
    exit: &ExitSpec,
) -> Result<RunParameters, Failure> {
    let model = sampler.model();
    let depth = model.backbone.depth();
    let evaluations = sampler.evaluations(request)?;
    let bounds = evaluations.iter().map(|e| sampler.exit().bounds(e.node.t, depth));
    let name = |file: &Option<PathBuf>| file.as_ref().map(|f| f.display().to_string());
    let layout = sampler.layout(request.len());
    Ok(RunParameters {
        version: env!("CARGO_PKG_VERSION").into(),
        weights: args.weights.clone(),
        weights_sha256: model.sha256.clone(),
        solver: args.solver.clone(),
        steps: args.steps,
        exit: exit.to_string(),
        bounds: bounds.map(|b| [b.min, b.max]).collect(),
        guidance: args.guidance,
        guidance_interval: args.guidance_interval.as_ref().map(|i| [i[0], i[1]]),
        guidance_channels: args.guidance_channels,
        noise: name(&args.noise),
        init: name(&args.init),
        strength: args.init.as_ref().map(|_| args.strength),
        dtype: args.dtype.clone(),
        device: args.device.clone(),
        batch: layout.batch,
        threads: layout.threads,
        first_seed: args.seed,
        classes: args.class.clone(),
        count: request.len(),
    })
}
