//! What calibrations share: the run that exits are calibrated for, and the images.

use std::path::PathBuf;

use offramp::calibrate::RecordedWith;
use offramp::solver::SolverSpec;
use offramp::tail::{TailSpec, default_tail};
use offramp::{Guidance, Model, Request, Sampler};
use tch::{Device, Kind};

use crate::cli::guidance::guidance;
use crate::cli::{Failure, classes, places, threads};

/// The run that is calibrated for.
#[derive(clap::Args)]
pub struct Setting {
    /// A weights folder, or its name under weights/.
    #[arg(long, default_value = crate::cli::DEFAULT_WEIGHTS, value_name = "NAME|DIR")]
    pub weights: String,

    /// The solver, as for generate.
    #[arg(long, default_value = "dpm-solver++2m", value_name = "SPEC")]
    pub solver: String,

    /// Classifier-free guidance scale; 1 is none.
    #[arg(long, default_value_t = 1.0, value_name = "SCALE")]
    pub guidance: f64,

    /// Times at which guidance acts.
    #[arg(long, value_name = "LO,HI", value_delimiter = ',', num_args = 1)]
    pub guidance_interval: Option<Vec<f64>>,

    /// What stands in for skipped blocks, as for generate; by default the trained heads, if there are any.
    #[arg(long, value_name = "SPEC")]
    pub tail: Option<String>,

    /// What to draw; images take the classes in turn.
    #[arg(long, default_value = "all", value_name = "NAME|INDEX|all")]
    pub class: String,

    /// Arithmetic of the network: f32 or bf16.
    #[arg(long, default_value = "f32", value_parser = ["f32", "bf16"])]
    pub dtype: String,

    /// Images per micro-batch.
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub batch: usize,

    /// CPU threads; by default one a core.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    /// JSON on stdout.
    #[arg(long)]
    pub json: bool,

    /// No progress and no table.
    #[arg(long, short)]
    pub quiet: bool,
}

/// The run, with its parts checked.
pub struct Ground {
    pub model: Model,
    pub folder: PathBuf,
    pub solver: SolverSpec,
    pub tail: Option<TailSpec>,
    pub guidance: Guidance,
    classes: Vec<Option<i64>>,
    batch: usize,
    threads: Option<usize>,
}

impl Setting {
    /// Opens the weights and checks all parts.
    pub fn open(&self) -> Result<Ground, Failure> {
        threads::checked(self.threads)?;
        if self.batch == 0 {
            return Err(Failure::option("--batch", 0, "a micro-batch holds at least one image"));
        }
        let solver: SolverSpec = self.solver.parse()?;
        let tail: Option<TailSpec> = self.tail.as_ref().map(|tail| tail.parse()).transpose()?;
        let guidance = guidance(self.guidance, self.guidance_interval.as_deref())?;
        let folder = places::weights(&self.weights)?;
        let dtype = if self.dtype == "bf16" { Kind::BFloat16 } else { Kind::Float };
        let model = Model::open_on(&folder, Device::Cpu, dtype)?;
        let classes = classes::parse(&self.class, &model.config)?;
        if let Some(tail) = &tail {
            tail.build(model.exits.as_ref())?;
        }
        let (batch, threads) = (self.batch, self.threads);
        Ok(Ground { model, folder, solver, tail, guidance, classes, batch, threads })
    }
}

impl Ground {
    /// A full-depth sampler of so many steps.
    pub fn sampler(&self, steps: usize) -> Result<Sampler, Failure> {
        let tail = match &self.tail {
            Some(tail) => tail.build(self.model.exits.as_ref())?,
            None => default_tail(self.model.exits.as_ref()),
        };
        let sampler = Sampler::new(self.model.share())
            .with_tail(tail)
            .with_solver(self.solver, steps)
            .with_guidance(self.guidance)
            .with_batch(self.batch);
        Ok(match self.threads {
            Some(threads) => sampler.with_threads(threads),
            None => sampler,
        })
    }

    /// So many images from a seed on, classes in turn.
    pub fn request(&self, images: usize, seed: u64) -> Request {
        let mut request = Request::classes([], seed);
        request.classes = self.classes.iter().copied().cycle().take(images).collect();
        request
    }

    /// What a recording is made with.
    pub fn recorded_with(
        &self,
        setting: &Setting,
        args: &super::schedule::Args,
    ) -> Result<RecordedWith, Failure> {
        let interval = setting.guidance_interval.as_ref().map(|_| self.guidance.interval);
        Ok(RecordedWith {
            weights_sha256: self.model.sha256.clone(),
            exits_sha256: self.model.exits.as_ref().and_then(|e| e.sha256()).map(str::to_owned),
            solver: self.solver.to_string(),
            guidance: self.guidance.scale,
            guidance_interval: interval,
            tail: self.sampler(1)?.tail().spec(),
            dtype: setting.dtype.clone(),
            class: setting.class.clone(),
            images: args.images,
            seed: args.seed,
            ages: args.ages,
            spans: args.spans,
            batch: self.batch,
        })
    }
}
