//! Our full-depth forward against PyTorch's, in eager mode: same weights, same input, f32, one thread.
//!
//! The peer is a child process that holds the same weights (`scripts/peers/pytorch_forward.py`) and times
//! its own forwards. The two take turns: while one runs, the other waits on a pipe. Before anything is
//! timed, their outputs must agree. `OFFRAMP_PYTHON` names a Python that has `scripts/peers/requirements.txt`.

mod measure {
    pub mod peer;
    pub mod row;
    pub mod spread;
}

use std::error::Error;
use std::ops::Bound;
use std::path::Path;
use std::time::Instant;

use measure::peer::Peer;
use measure::row::Rows;
use measure::spread::Spread;
use offramp::Model;
use offramp::backbone::{Backbone, Input};
use tch::{Device, Kind, TchError, Tensor};

const ROUNDS: usize = 9;
/// Images per turn, so that a turn is long against the hand-over.
const IMAGES_A_TURN: usize = 64;
/// Largest difference of outputs, as a share of the largest output.
const AGREEMENT: f64 = 1e-5;

const PEERS: [(&str, &str); 2] = [("plain", "plain PyTorch"), ("diffusers", "DiTTransformer2DModel")];

/// x_t, times and classes of a batch.
struct Batch {
    x: Tensor,
    t: Tensor,
    class: Tensor,
}

impl Batch {
    fn new(rows: i64) -> Self {
        let x = Tensor::randn([rows, 1, 28, 28], (Kind::Float, Device::Cpu));
        let t = Tensor::from_slice(&(0..rows).map(|r| (r * 37 % 1000) as f32).collect::<Vec<_>>());
        let class = Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(11);
        Self { x, t, class }
    }

    fn write(&self, file: &Path) -> Result<(), TchError> {
        Tensor::write_safetensors(&[("x", &self.x), ("t", &self.t), ("class", &self.class)], file)
    }

    fn forward(&self, backbone: &dyn Backbone) -> Result<Tensor, TchError> {
        let mut state = backbone.begin(&Input { x: &self.x, t: &self.t, class: &self.class })?;
        for i in 0..backbone.depth() {
            backbone.block(i, &mut state)?;
        }
        backbone.finish(backbone.depth(), state)
    }

    /// Seconds for `n` forwards.
    fn time(&self, backbone: &dyn Backbone, n: usize) -> Result<f64, TchError> {
        let start = Instant::now();
        for _ in 0..n {
            drop(self.forward(backbone)?);
        }
        Ok(start.elapsed().as_secs_f64())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let Ok(python) = std::env::var("OFFRAMP_PYTHON") else {
        println!(
            "\nforward_vs_pytorch left out: set OFFRAMP_PYTHON to a Python with scripts/peers/requirements.txt"
        );
        return Ok(());
    };
    let mut rows = Rows::of("forward_vs_pytorch");
    let _no_grad = tch::no_grad_guard();
    tch::set_num_threads(1);
    let model = Model::open("weights/fashion-dit")?;
    let backbone = &*model.backbone;
    let mut peer = Peer::start(&python, "pytorch_forward.py", &["weights/fashion-dit"])?;
    let folder = tempfile::tempdir()?;
    let (input, output) = (folder.path().join("input.safetensors"), folder.path().join("output.safetensors"));

    for size in [16, 1, 64] {
        let batch = Batch::new(size as i64);
        batch.write(&input)?;
        peer.ask(&format!("input {}", input.display()))?;
        let ours = batch.forward(backbone)?;
        for (name, title) in PEERS {
            let difference = peer.disagreement(name, &ours, &output)?;
            assert!(
                difference <= AGREEMENT,
                "batch {size}: ours and {title} differ by {difference:e} of max"
            );
        }
        let turn = IMAGES_A_TURN / size;
        let mut seconds = PEERS.map(|_| vec![]);
        let mut ours = vec![];
        for _ in 0..ROUNDS {
            for ((name, _), seconds) in PEERS.iter().zip(&mut seconds) {
                let before = batch.time(backbone, turn)?;
                let theirs = peer.time(name, turn)?;
                let after = batch.time(backbone, turn)?;
                seconds.push(theirs / ((before + after) / 2.0));
                ours.push((before + after) / 2.0 / turn as f64 * 1e3);
            }
        }
        rows.add(&format!("our forward, batch {size}, 1 thread"), " ms", &Spread::of(ours), ..);
        for ((_, title), ratios) in PEERS.iter().zip(seconds) {
            let least = if size == 16 { Bound::Included(1.0) } else { Bound::Unbounded };
            let what = format!("{title}'s time ÷ our time, batch {size}, 1 thread");
            rows.add(&what, " ×", &Spread::of(ratios), (least, Bound::Unbounded));
        }
    }
    rows.save(env!("CARGO_TARGET_TMPDIR"))?;
    Ok(())
}
