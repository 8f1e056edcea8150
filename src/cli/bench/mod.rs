//! `offramp bench`: a plan is checked whole, then drawn round by round, then judged.

mod args;
mod progress;
mod table;

pub use args::Args;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use offramp::bench::{self, BenchError, Ledger, Models, Plan, PlanError, Real, RunFile, Told, WeightsPlace};

use self::progress::Progress;
use super::interrupt::Interrupt;
use super::stdout::say;
use super::{Failure, places};

pub fn run(args: Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen();
    let mut progress = Progress::new(args.quiet || args.json);
    let mut tell = |told: Told| {
        progress.hear(&told);
        if let (true, Told::Finished { row }) = (args.json, &told) {
            // A row on a closed pipe is in rows.jsonl all the same.
            let _ = say!("{}", serde_json::json!({ "event": "row", "row": row }));
        }
        if interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let ended = match (&args.merge, &args.plan) {
        (Some(folders), _) => merge(folders, args.out.as_deref().unwrap_or(Path::new("")), &mut tell),
        (None, Some(plan)) => measure(&args, plan, &mut tell),
        (None, None) => Err(Failure::option("PLAN", "", "a plan is needed")),
    };
    progress.finish();
    let (ledger, finished) = ended?;
    let out = ledger.folder().to_owned();
    if !finished {
        let own = ledger.run().own_rounds()?.len();
        let (done, of) = (ledger.lines().count(), ledger.run().points.len() * own);
        return Err(Failure::BenchInterrupted { done, of, out });
    }
    if let Some(shard) = ledger.run().shard {
        if args.json {
            say!("{}", serde_json::json!({ "event": "done", "shard": shard.to_string(), "out": out }))?;
        } else if !args.quiet {
            say!("shard {shard} is in {}; `offramp bench --merge` works its rows out", out.display())?;
        }
        return Ok(());
    }
    ledger.report()?;
    if args.json {
        say!("{}", serde_json::json!({ "event": "done", "rows": ledger.rows().len(), "out": out }))?;
    } else if !args.quiet {
        table::print(&ledger)?;
        say!("\n{} says it in plots", out.join("report.html").display())?;
    }
    Ok(())
}

/// Draws and judges; also gives whether it came to its end.
fn measure(args: &Args, plan: &Path, tell: &mut bench::Tell) -> Result<(Ledger, bool), Failure> {
    let plan = Plan::read(plan)?;
    let rounds = bench::rounds(&plan)?;
    let (models, points) = Models::open(&plan, weights(&plan)?)?;
    let real = Real::open(&plan, &places::roots(), models.image_shape(&points)?)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("out/bench").join(&plan.name));
    let run = RunFile::new(plan, points, &rounds, args.shard);
    run.own_rounds()?;
    let mut ledger = Ledger::open(&out, run)?;
    let Some(failed) = bench::draw(&models, &mut ledger, tell)? else { return Ok((ledger, false)) };
    let first = args.shard.is_none_or(|s| s.index() == 1);
    if !bench::extract_all(&ledger, real.as_ref(), tell)?
        || (first && !bench::measure_exits(&models, &ledger, tell)?)
    {
        return Ok((ledger, false));
    }
    let finished = match args.shard {
        Some(_) => {
            ledger.keep_failed(&failed)?;
            true
        }
        None => bench::finish(&mut ledger, &failed, real.as_ref(), tell)?,
    };
    Ok((ledger, finished))
}

fn merge(folders: &[PathBuf], out: &Path, tell: &mut bench::Tell) -> Result<(Ledger, bool), Failure> {
    let (mut ledger, failed) = bench::merge(folders, out)?;
    let shape = ledger.image_shape()?;
    let real = Real::open(&ledger.run().plan, &places::roots(), shape)?;
    let finished = bench::finish(&mut ledger, &failed, real.as_ref(), tell)?;
    Ok((ledger, finished))
}

/// Where the weights that a plan names are.
fn weights(plan: &Plan) -> Result<Vec<WeightsPlace>, BenchError> {
    let place = |entry: String| {
        let folder = places::weights(&entry).map_err(|failure| PlanError::Value {
            key: "weights".into(),
            value: format!("{entry:?}"),
            reason: failure.to_string(),
        })?;
        let schedules = places::schedules(&folder);
        Ok(WeightsPlace { entry, folder, schedules })
    };
    bench::weights_of(plan).into_iter().map(place).collect()
}
