//! How long from starting the process to the first evaluation?
//!
//! The binary says nothing at its first evaluation, so what is timed is a run of one step and one image
//! until its line appears on stdout: by then the evaluation is done and its PNG written, an upper bound.
//! Two shorter commands show where the time goes: one that only loads libtorch, and one that also reads,
//! checks and hashes the weights. The page cache is warm and the median of ten counts.

mod measure {
    pub mod row;
    pub mod spread;
}

use std::io::{BufRead, BufReader};
use std::ops::Bound;
use std::process::{Command, Stdio};
use std::time::Instant;

use measure::row::Rows;
use measure::spread::Spread;

const RUNS: usize = 10;
const BOUND: f64 = 0.5;

/// Seconds from the start of `offramp ARGUMENTS` to its first line on stdout.
fn first_line(arguments: &[&str]) -> Result<f64, Box<dyn std::error::Error>> {
    let start = Instant::now();
    let mut child =
        Command::new(env!("CARGO_BIN_EXE_offramp")).args(arguments).stdout(Stdio::piped()).spawn()?;
    let mut stdout = BufReader::new(child.stdout.take().ok_or("the child has no stdout")?);
    let mut line = String::new();
    let read = stdout.read_line(&mut line)?;
    let seconds = start.elapsed().as_secs_f64();
    std::io::copy(&mut stdout, &mut std::io::sink())?;
    let status = child.wait()?;
    if read == 0 || !status.success() {
        return Err(format!("offramp {arguments:?} ended with {status}").into());
    }
    Ok(seconds)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rows = Rows::of("startup");
    let out = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("startup");
    let out = out.to_str().ok_or("the target folder's name is not UTF-8")?;
    let weights = "weights/fashion-dit";
    let one_step = ["generate", "--weights", weights, "--count", "1", "--steps", "1", "--json"];
    let one_step = [&one_step[..], &["--overwrite", "--out", out]].concat();
    let one_thread = [&one_step[..], &["--threads", "1"]].concat();
    let commands = [
        ("libtorch loaded (`--version`)", vec!["--version"], Bound::Unbounded),
        (
            "weights read, checked, hashed (`inspect --json`)",
            vec!["inspect", weights, "--json"],
            Bound::Unbounded,
        ),
        ("first evaluation done and written, `--threads 1`", one_thread, Bound::Unbounded),
        ("first evaluation done and written", one_step, Bound::Included(BOUND)),
    ];
    for (_, command, _) in &commands {
        first_line(command)?; // fills the page cache
    }
    let mut seconds = commands.each_ref().map(|_| vec![]);
    for _ in 0..RUNS {
        for ((_, command, _), seconds) in commands.iter().zip(&mut seconds) {
            seconds.push(first_line(command)?);
        }
    }
    for ((what, _, most), seconds) in commands.into_iter().zip(seconds) {
        rows.add(&format!("start to {what}"), " s", &Spread::of(seconds), (Bound::Unbounded, most));
    }
    rows.save(env!("CARGO_TARGET_TMPDIR"))?;
    Ok(())
}
