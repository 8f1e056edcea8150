//! `offramp inspect`: a weights folder, an exit schedule (drawn), or a PNG (with the command behind it).

use std::path::{Path, PathBuf};

use offramp::backbone::{Checkpoint, Config};
use offramp::exit::Schedule;
use offramp::learned::{HeadKind, LearnedConfig, Target};
use offramp::output::{RunParameters, read_parameters};

use super::stdout::say;
use super::{Failure, places, stdout};

/// Says what a weights folder, an exit schedule or a PNG is.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  offramp inspect fashion-dit\n  \
    offramp inspect schedules/fashion-dit/ase-demo.json\n  offramp inspect out/000003.png")]
pub struct Args {
    /// A weights folder or its name, a schedule (.json), or a PNG that offramp made.
    path: String,

    /// One JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let path = PathBuf::from(&args.path);
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("json") => schedule(&path, args.json),
        Some("png") => picture(&path, args.json),
        _ if path.is_file() => Err(Failure::unknown(&path, "its name ends in neither .json nor .png")),
        _ => weights(&places::weights(&args.path)?, args.json),
    }
}

fn weights(folder: &Path, json: bool) -> Result<(), Failure> {
    let config = Config::read(&folder.join("config.json")).map_err(offramp::backbone::ModelError::from)?;
    let checkpoint =
        Checkpoint::open(&folder.join("model.safetensors")).map_err(offramp::backbone::ModelError::from)?;
    let tensors = checkpoint.tensors();
    let numbers: usize = tensors.values().map(|(shape, _)| shape.iter().product::<usize>()).sum();
    let dtypes: std::collections::BTreeSet<&str> = tensors.values().map(|(_, d)| d.as_str()).collect();
    let dtypes = dtypes.into_iter().collect::<Vec<_>>().join(", ");
    let model = offramp::Model::open(folder)?;
    let schedules = offramp::exit::schedule_names(&places::schedules(folder));
    if json {
        let fact = serde_json::json!({
            "weights": folder, "sha256": model.sha256, "tensors": tensors.len(), "parameters": numbers,
            "dtypes": dtypes, "schedules": schedules, "config": config,
            "exits": model.exits.as_ref().map(|e| serde_json::json!({ "sha256": e.sha256(), "config": e.config() })),
        });
        return say!("{fact}");
    }
    say!("weights     {}", folder.display())?;
    say!("sha256      {}", model.sha256)?;
    say!("tensors     {} ({:.2} M parameters, {dtypes})", tensors.len(), numbers as f64 / 1e6)?;
    say!("family      {:?}, {:?} layout", config.family, config.layout)?;
    say!(
        "network     {} blocks × {} wide, {} heads, patches of {} on {}×{}×{}",
        config.depth,
        config.hidden_size,
        config.num_heads,
        config.patch_size,
        config.input_size,
        config.input_size,
        config.in_channels
    )?;
    let d = &config.diffusion;
    say!("diffusion   T = {}, {:?} betas, predicts {:?}", d.timesteps, d.beta_schedule, d.prediction)?;
    say!(
        "classes     {}",
        if config.labels.is_empty() { config.num_classes.to_string() } else { config.labels.join(", ") }
    )?;
    say!("schedules   {}", if schedules.is_empty() { "none".into() } else { schedules.join(", ") })?;
    say!("exits       {}", model.exits.as_ref().map_or("not trained".into(), |e| trained(e.config())))
}

/// What learned exits consist of.
pub(super) fn trained(exits: &LearnedConfig) -> String {
    let points: Vec<String> = exits.points.iter().map(usize::to_string).collect();
    let mut parts = vec![match exits.heads {
        HeadKind::Shared => "shared head".to_owned(),
        kind => format!("{} heads", kind.name()),
    }];
    if let Some(e) = exits.estimator {
        let target = match e.target {
            Target::Full => "|g_i − g_N|",
            _ => "|g_i − ε|",
        };
        parts.push(format!("{} estimator ({} of {target})", e.kind.name(), e.quantity.name()));
    }
    if let Some(gate) = exits.gate {
        parts.push(format!("gate {} wide", gate.hidden));
    }
    format!("trained after blocks {}: {}", points.join(", "), parts.join("; "))
}

fn schedule(file: &Path, json: bool) -> Result<(), Failure> {
    let schedule = Schedule::read(file)?;
    if json {
        return say!("{}", serde_json::json!({ "schedule": schedule, "mean_depth": schedule.mean_depth() }));
    }
    let trained = if schedule.provenance.exits_trained { "" } else { "; exits not yet trained" };
    say!(
        "schedule {}: mean depth {:.2} of {} over uniform time{trained}",
        schedule.name,
        schedule.mean_depth(),
        schedule.depth
    )?;
    say!("{}\n", schedule.provenance.method)?;
    stdout::bytes(drawing(&schedule).as_bytes())
}

/// Columns of the drawing, without its scale.
const COLUMNS: usize = 60;

/// Depth against time: noise on the left, as sampling runs.
fn drawing(schedule: &Schedule) -> String {
    let t = |column: usize| schedule.timesteps as f64 * (1.0 - (column as f64 + 0.5) / COLUMNS as f64);
    let mut text = String::from("depth\n");
    for level in (1..=schedule.depth).rev() {
        let line: String =
            (0..COLUMNS).map(|c| if schedule.depth_at(t(c)) >= level { '█' } else { ' ' }).collect();
        text += &format!("{level:>5} ┤{}\n", line.trim_end());
    }
    let last = schedule.timesteps - 1;
    text += &format!("      └{}\n", "─".repeat(COLUMNS));
    text += &format!("  t = {last:<width$}0\n", width = COLUMNS);
    text
}

fn picture(file: &Path, json: bool) -> Result<(), Failure> {
    let parameters = read_parameters(file)?;
    let command = parameters.command();
    if json {
        return say!("{}", serde_json::json!({ "parameters": parameters, "command": command }));
    }
    let (run, image) = (&parameters.run, &parameters.image);
    say!("image      {} of {}, seed {}", image.image, run.count, image.seed)?;
    say!(
        "class      {}",
        image.label.clone().or(image.class.map(|c| c.to_string())).unwrap_or("none".into())
    )?;
    say!("weights    {} (sha256 {})", run.weights, run.weights_sha256)?;
    say!("solver     {}, {} steps", run.solver, run.steps)?;
    say!("guidance   {}", guidance(run))?;
    for (name, file) in [("noise", &run.noise), ("init", &run.init)] {
        if let Some(file) = file {
            let strength = run.strength.filter(|_| name == "init").map(|s| format!(", strength {s}"));
            say!("{name:<10} {file}{}", strength.unwrap_or_default())?;
        }
    }
    say!("exit       {}, tail {}", run.exit, run.tail)?;
    if let (Some(steps), Some(tolerance)) = (run.verify, &run.tolerance) {
        say!("verify     {steps} steps at a time, tolerance {tolerance}")?;
    }
    say!("depths     {}", image.depths.iter().map(usize::to_string).collect::<Vec<_>>().join(" "))?;
    say!("made by    offramp {}, {}, {}, batch {}", run.version, run.device, run.dtype, run.batch)?;
    say!("\nTo draw it again:\n  {command}")
}

fn guidance(run: &RunParameters) -> String {
    let mut text = run.guidance.to_string();
    if let Some([lo, hi]) = run.guidance_interval {
        text += &format!(" for t in [{lo}, {hi}]");
    }
    if let Some(channels) = run.guidance_channels {
        text += &format!(" on the first {channels} channels");
    }
    text
}
