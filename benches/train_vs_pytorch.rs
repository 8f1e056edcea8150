//! Our training steps against the same loop in PyTorch, eager: same network, batch, loss, clipping, AdamW and moving
//! average, on both cores.
//!
//! PyTorch runs as two processes of one thread, which average their gradients through gloo, and as one process of two
//! threads, each in bf16 autocast and in f32; ours is two workers of one thread. All take turns: who is not
//! running waits on a pipe. Writing checkpoints is in nobody's time. `OFFRAMP_PYTHON` names a Python that has
//! `scripts/peers/requirements.txt`.

mod measure {
    pub mod peer;
    pub mod row;
    pub mod spread;
}

use std::error::Error;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::time::Instant;

use measure::peer::Peer;
use measure::row::Rows;
use measure::spread::Spread;
use offramp::data::TrainingSet;
use offramp::train::{Arithmetic, Origin, Pace, Place, Recipe, TrainRun, train_backbone};

const WEIGHTS: &str = "weights/fashion-dit";
const ROUNDS: usize = 5;
/// Steps of a turn that are timed; the one before them warms up.
const STEPS: usize = 4;
const BATCH: usize = 64;

/// PyTorch's arithmetic, processes and threads, and the least ratio that is asked for.
const PEERS: [(&str, usize, usize, f64); 4] =
    [("bf16", 2, 1, 1.0), ("bf16", 1, 2, 1.2), ("f32", 2, 1, 1.0), ("f32", 1, 2, 1.2)];

fn main() -> Result<(), Box<dyn Error>> {
    let Ok(python) = std::env::var("OFFRAMP_PYTHON") else {
        println!(
            "\ntrain_vs_pytorch left out: set OFFRAMP_PYTHON to a Python with scripts/peers/requirements.txt"
        );
        return Ok(());
    };
    let mut rows = Rows::of("train_vs_pytorch");
    let origin = Origin::weights(Path::new(WEIGHTS))?;
    let data = TrainingSet::open("fashion-mnist", &origin.wanted())?;
    let folder = tempfile::tempdir()?;
    let open = |arithmetic, name: &str| {
        let recipe = Recipe { steps: 10_000, batch: BATCH, arithmetic, ..Recipe::default() };
        let folder = folder.path().join(name);
        train_backbone(recipe, &origin, data.clone(), Place { folder: &folder, resume: false, threads: 2 })
    };
    let mut ours = open(Arithmetic::F32, "f32")?;
    let mut ours_bf16 = open(Arithmetic::Bf16, "bf16")?;
    let mut peers = vec![];
    for (dtype, processes, threads, _) in PEERS {
        let [batch, processes, threads] = [BATCH, processes, threads].map(|n| n.to_string());
        let words =
            [WEIGHTS, "--dtype", dtype, "--processes", &processes, "--threads", &threads, "--batch", &batch];
        peers.push(Peer::start(&python, "train_loop.py", &words)?);
    }
    let mut ratios = PEERS.map(|_| vec![]);
    let (mut seconds, mut of_bf16) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        for (peer, ratios) in peers.iter_mut().zip(&mut ratios) {
            let before = turn(&mut ours)?;
            let theirs: serde_json::Value =
                serde_json::from_str(&peer.ask(&format!("{{\"steps\": {STEPS}}}"))?)?;
            let theirs = theirs["seconds"].as_f64().ok_or_else(|| format!("the peer says {theirs}"))?;
            let after = turn(&mut ours)?;
            ratios.push(theirs / ((before + after) / 2.0));
            seconds.push((before + after) / 2.0);
        }
        let before = turn(&mut ours)?;
        of_bf16.push(turn(&mut ours_bf16)? / ((before + turn(&mut ours)?) / 2.0));
    }
    let speed = seconds.iter().map(|s| (STEPS * BATCH) as f64 / s);
    rows.add(&format!("our training, f32, batch {BATCH}, 2 × 1 thread"), " images/s", &Spread::of(speed), ..);
    for ((dtype, processes, threads, least), ratios) in PEERS.iter().zip(ratios) {
        let what = format!("PyTorch's time ({dtype}, {processes} × {threads}) ÷ our training step's");
        rows.add(&what, " ×", &Spread::of(ratios), (Bound::Included(*least), Bound::Unbounded));
    }
    rows.add("our training step in bf16 ÷ in f32", " ×", &Spread::of(of_bf16), ..);
    rows.save(env!("CARGO_TARGET_TMPDIR"))?;
    Ok(())
}

/// Seconds of [`STEPS`] steps.
fn turn(run: &mut TrainRun) -> Result<f64, Box<dyn Error>> {
    let pace = Pace { log_every: 1, checkpoint_every: usize::MAX, samples_every: 0 };
    let mut ends = vec![];
    run.train(pace, &mut |_| {
        ends.push(Instant::now());
        if ends.len() > STEPS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok((ends[STEPS] - ends[0]).as_secs_f64())
}
