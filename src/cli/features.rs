//! Extractors as typed, or chosen by the images; a set's features with progress.

use std::ops::ControlFlow;

use offramp::evaluate::{EvaluateError, Extraction, Shard};
use offramp::extract::{self, Extractor, ExtractorSpec, Network};

use super::interrupt::Interrupt;
use super::progress::Progress;
use super::{Failure, places, threads};

/// A micro-batch is one tensor in each worker.
const LARGEST_BATCH: usize = 4096;

/// An extractor, and why it was taken where none was typed.
pub struct Chosen {
    pub extractor: Box<dyn Extractor>,
    pub reason: Option<String>,
}

/// The extractors typed, or the one for images of `shape` `[H, W, C]`.
pub fn choose(typed: &[String], shape: [usize; 3]) -> Result<Vec<Chosen>, Failure> {
    let open = |spec: &ExtractorSpec| extract::open(spec, &places::roots()).map_err(EvaluateError::from);
    if !typed.is_empty() {
        let one = |text: &String| {
            let spec = text.parse().map_err(EvaluateError::from)?;
            Ok(Chosen { extractor: open(&spec)?, reason: None })
        };
        return typed.iter().map(one).collect();
    }
    let [height, width, channels] = shape;
    let (network, what) = match shape {
        [28, 28, 1] => (Network::FashionFeatures, "grey images of 28×28".to_owned()),
        _ => {
            let mode = if channels == 1 { "grey" } else { "RGB" };
            (Network::EfficientnetLite0, format!("{mode} images of {width}×{height}"))
        }
    };
    let extractor = open(&ExtractorSpec::new(network))?;
    Ok(vec![Chosen { extractor, reason: Some(format!("the default for {what}")) }])
}

/// `--batch`, `--threads` and `--shard` as an [`Extraction`].
pub fn extraction(batch: usize, threads: Option<usize>, shard: Shard) -> Result<Extraction, Failure> {
    if !(1..=LARGEST_BATCH).contains(&batch) {
        return Err(Failure::option("--batch", batch, format!("it must be 1 to {LARGEST_BATCH}")));
    }
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads::checked(threads)?.unwrap_or_else(cores);
    Ok(Extraction { batch, shard, ..Extraction::new(threads) })
}

/// Runs an extraction with a progress bar, until it is done or interrupted.
pub fn watched<T>(
    silent: bool,
    interrupt: &Interrupt,
    work: impl FnOnce(&mut dyn FnMut(usize, usize) -> ControlFlow<()>) -> Result<T, EvaluateError>,
) -> Result<T, Failure> {
    let mut progress: Option<Progress> = None;
    let mut before = 0;
    let result = work(&mut |done, count| {
        let bar = progress.get_or_insert_with(|| Progress::of(count as u64, "images", silent));
        bar.advance((done - before) as u64);
        before = done;
        if interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let Some(bar) = progress {
        bar.finish();
    }
    result.map_err(|error| match error {
        EvaluateError::Stopped { done, count } => Failure::Interrupted { finished: done, count },
        other => other.into(),
    })
}
