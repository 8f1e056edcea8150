//! From arguments to a run whose every part has been checked; nothing is written if one is wrong.

use std::path::PathBuf;

use offramp::digest::sha256_of;
use offramp::exit::{Budget, ExitSpec, Rule};
use offramp::output::{Existing, OutputError, OutputFolder, RunParameters, read_image, read_noise};
use offramp::solver::SolverSpec;
use offramp::tail::TailSpec;
use offramp::{GuidedChannels, Model, Request, Sampler, Verify};
use tch::{Device, Kind};

use super::Run;
use super::args::Args;
use crate::cli::guidance::guidance;
use crate::cli::{Failure, classes, places, target, threads};

/// Each image costs some bytes of memory before the first is drawn.
const MAX_IMAGES: usize = 10_000_000;
/// A contact sheet is one picture in memory.
const MAX_ON_GRID: usize = 10_000;

impl Run {
    /// Turns arguments into a sampler, a request and an open folder; nothing is written if one is wrong.
    pub fn prepare(args: Args) -> Result<Self, Failure> {
        threads::checked(args.threads)?;
        if let Some(count) = args.count.filter(|&n| n > MAX_IMAGES) {
            return Err(Failure::option("--count", count, format!("at most {MAX_IMAGES} images a run")));
        }
        if args.out.as_os_str().is_empty() {
            return Err(Failure::option("--out", "\"\"", "a folder is needed"));
        }
        if args.preview_every == Some(0) {
            return Err(Failure::option("--preview-every", 0, "every how many evaluations? at least 1"));
        }
        let mut guidance = guidance(args.guidance, args.guidance_interval.as_deref())?;
        if let Some(n) = args.guidance_channels {
            guidance.channels = GuidedChannels::First(n);
        }
        let solver: SolverSpec = args.solver.parse()?;
        let exit = exit(&args)?;
        let tail: Option<TailSpec> = args.tail.as_ref().map(|tail| tail.parse()).transpose()?;
        let device = device(&args.device)?;
        let weights = places::weights(&args.weights)?;
        let dtype = if args.dtype == "bf16" { Kind::BFloat16 } else { Kind::Float };
        let model = Model::open_on(&weights, device, dtype)?;
        let policy = exit.build(&places::schedules(&weights), model.exits.as_ref())?;
        let tail = tail.map(|tail| tail.build(model.exits.as_ref())).transpose()?;

        let request = request(&args, &model)?;
        let mut sampler =
            Sampler::new(model).with_exit(policy).with_solver(solver, args.steps).with_guidance(guidance);
        if let Some(tail) = tail {
            sampler = sampler.with_tail(tail);
        }
        if let (Some(steps), Some(tolerance)) = (args.verify, args.tolerance) {
            sampler = sampler.with_verify(Verify { steps, tolerance });
        }
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
        for file in [&args.grid, &args.npz, &args.trace, &args.heat_map].into_iter().flatten() {
            target::check(file, Some(&args.out))?;
        }
        if args.grid.is_some() && request.len() > MAX_ON_GRID {
            return Err(Failure::option(
                "--grid",
                request.len(),
                format!("at most {MAX_ON_GRID} images fit on one"),
            ));
        }
        let existing = match (args.resume, args.overwrite) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Overwrite,
            _ => Existing::Refuse,
        };
        // Before the folder is cleared: the init image may lie in it.
        let mut parameters = parameters(&args, &sampler, &request, &solver, &exit)?;
        let folder = OutputFolder::open(&args.out, existing)?;
        // The micro-batch chosen for another count would give other bytes: a resumed run keeps its first one.
        if existing == Existing::Resume
            && args.batch.is_none()
            && let Some(first) = folder.first(request.len())?
        {
            sampler = sampler.with_batch(first.run.batch);
            parameters.batch = first.run.batch;
        }
        let mut run = Self { args, exit, sampler, request, folder, parameters };
        if existing == Existing::Resume {
            run.request.done = run.folder.finished(run.request.len(), &run.parameters)?;
        }
        Ok(run)
    }
}

fn exit(args: &Args) -> Result<ExitSpec, Failure> {
    let exit = match (&args.schedule, args.budget) {
        (None, None) => return Ok(args.exit.parse()?),
        (Some(schedule), None) => return Ok(Rule::Schedule(schedule.clone()).into()),
        (None, Some(budget)) => args.exit.strip_prefix("best").zip(Budget::new(budget)),
        (Some(_), Some(_)) => None,
    };
    match exit.filter(|(limits, _)| limits.is_empty() || limits.starts_with(',')) {
        Some((limits, budget)) => Ok(format!("best:{}{limits}", budget.share()).parse()?),
        None => {
            let reason = "it goes with --exit best, and must be a share above 0 and up to 1";
            Err(Failure::option("--budget", args.budget.unwrap_or_default(), reason))
        }
    }
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

/// What tells one input file from another, wherever it lies.
fn sha256(file: &Option<PathBuf>) -> Result<Option<String>, Failure> {
    let Some(file) = file else { return Ok(None) };
    let digest = sha256_of(file).map_err(|source| OutputError::Io { file: file.clone(), source })?;
    Ok(Some(digest))
}

fn parameters(
    args: &Args,
    sampler: &Sampler,
    request: &Request,
    solver: &SolverSpec,
    exit: &ExitSpec,
) -> Result<RunParameters, Failure> {
    let model = sampler.model();
    let evaluations = sampler.evaluations(request)?;
    let bounds = sampler.bounds(&evaluations);
    let name = |file: &Option<PathBuf>| file.as_ref().map(|f| f.display().to_string());
    let layout = sampler.layout(request.len());
    Ok(RunParameters {
        version: env!("CARGO_PKG_VERSION").into(),
        weights: args.weights.clone(),
        weights_sha256: model.sha256.clone(),
        exits_sha256: model.exits.as_ref().and_then(|e| e.sha256()).map(str::to_owned),
        solver: solver.to_string(),
        steps: args.steps,
        exit: exit.to_string(),
        tail: sampler.tail().spec(),
        verify: args.verify,
        tolerance: args.tolerance.map(|tolerance| tolerance.abs().to_string()),
        bounds: bounds.iter().map(|b| [b.min, b.max]).collect(),
        guidance: args.guidance,
        guidance_interval: args.guidance_interval.as_ref().map(|i| [i[0], i[1]]),
        guidance_channels: args.guidance_channels,
        noise: name(&args.noise),
        noise_sha256: sha256(&args.noise)?,
        init: name(&args.init),
        init_sha256: sha256(&args.init)?,
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
