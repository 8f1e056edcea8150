//! Our feature extractors against the same networks in PyTorch, eager: same weights, same images, f32, one thread.
//!
//! Images come as 8-bit pixels at the network's own size, so that nothing is resized; both sides turn them into
//! floats. As in `forward_vs_pytorch`, a Python child (`scripts/peers/pytorch_extractors.py`) takes turns with us.

mod measure {
    pub mod peer;
    pub mod row;
    pub mod spread;
}

use std::error::Error;
use std::ops::Bound;
use std::time::Instant;

use measure::peer::Peer;
use measure::row::Rows;
use measure::spread::Spread;
use offramp::extract::{Extractor, FashionNet, cache_folder, open};
use tch::{Device, Kind, Tensor};

const ROUNDS: usize = 7;
/// Largest difference of features, as a share of the largest feature.
const AGREEMENT: f64 = 1e-4;

/// Seconds for `n` forwards.
fn time(extractor: &dyn Extractor, images: &Tensor, n: usize) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    for _ in 0..n {
        drop(extractor.extract(images)?);
    }
    Ok(start.elapsed().as_secs_f64())
}

fn main() -> Result<(), Box<dyn Error>> {
    let Ok(python) = std::env::var("OFFRAMP_PYTHON") else {
        println!(
            "\nextractors_vs_pytorch left out: set OFFRAMP_PYTHON to a Python with scripts/peers/requirements.txt"
        );
        return Ok(());
    };
    let mut rows = Rows::of("extractors_vs_pytorch");
    tch::set_num_threads(1);
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (fashion, inception) = (at("fashion.safetensors"), at("inception.safetensors"));
    FashionNet::init(0)?.write(fashion.as_ref())?;
    let lite = cache_folder().ok_or("no cache folder: HOME is not set")?;
    let lite = lite.join("efficientnet-lite0/model.safetensors").display().to_string();
    // The peer draws the Inception's weights and writes them for us.
    let mut peer = Peer::start(&python, "pytorch_extractors.py", &[&fashion, &lite, &inception])?;

    // Images a forward, forwards a turn.
    for (name, weights, shape, batch, turn) in [
        ("fashion-features", &fashion, [28, 28, 1], 64, 8),
        ("efficientnet-lite0", &lite, [224, 224, 3], 16, 1),
        ("inception-2015", &inception, [299, 299, 3], 8, 1),
    ] {
        let extractor = open(&format!("{name}:weights={weights}").parse()?, &[])?;
        let [h, w, c] = shape;
        let images = Tensor::randint(256, [batch, h, w, c], (Kind::Uint8, Device::Cpu));
        let (input, output) = (folder.path().join("input"), folder.path().join("output"));
        Tensor::write_safetensors(&[("images", &images)], &input)?;
        peer.ask(&format!("input {}", input.display()))?;
        let ours = extractor.extract(&images)?.pooled;
        let difference = peer.disagreement(name, &ours, &output)?;
        assert!(
            difference <= AGREEMENT,
            "{name}: ours and PyTorch's differ by {difference:e} of the largest"
        );
        let (mut ratios, mut rates) = (vec![], vec![]);
        for _ in 0..ROUNDS {
            let before = time(&*extractor, &images, turn)?;
            let theirs = peer.time(name, turn)?;
            let after = time(&*extractor, &images, turn)?;
            let ours = (before + after) / 2.0;
            ratios.push(theirs / ours);
            rates.push((batch as usize * turn) as f64 / ours);
        }
        rows.add(&format!("{name}, batch {batch}, 1 thread"), " images/s", &Spread::of(rates), ..);
        let what = format!("PyTorch's time ÷ our time, {name}, batch {batch}, 1 thread");
        rows.add(&what, " ×", &Spread::of(ratios), (Bound::Included(1.0), Bound::Unbounded));
    }
    rows.save(env!("CARGO_TARGET_TMPDIR"))?;
    Ok(())
}
