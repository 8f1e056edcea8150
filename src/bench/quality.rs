//! How good the images of a point are: features of what it drew, their distances to the real ones, and what the
//! same seeds became of full depth.
//!
//! Features are worked out round by round, so that a shard's are, to the last bit, those of a whole run.

use std::path::PathBuf;

use ndarray::Axis;

use super::drawn::Drawn;
use super::ledger::Ledger;
use super::real::{Features, Real, file_name};
use super::told::{Tell, go_on};
use super::{BenchError, Fidelity, Quality};
use crate::evaluate::{
    Bootstrap, Extraction, FeatureSet, Gaussian, ImageSet, KidOptions, ManifoldOptions, PairedImages, kid,
    manifold,
};
use crate::extract::Extractor;
use crate::output::{OutputError, Pixels};

/// Works out the features of all that a point drew. False: it was stopped.
///
/// # Errors
/// A damaged file; features that are not finite; the disk's.
pub fn extract(
    ledger: &Ledger,
    point: &str,
    rounds: &[usize],
    real: &Real,
    tell: &mut Tell,
) -> Result<bool, BenchError> {
    let threads = ledger.run().plan.threads();
    for extractor in &real.extractors {
        for &round in rounds {
            let file = features_file(ledger, point, round, &**extractor);
            if file.is_file() {
                continue;
            }
            if !go_on(tell) {
                return Ok(false);
            }
            let images =
                ImageSet::of(format!("{point}, round {round}"), pixels(&ledger.drawn(point, round)?))?;
            let extracted = Extraction::new(threads)
                .run(&images, &**extractor, &mut |_, _| std::ops::ControlFlow::Continue(()))?;
            let folder = file.parent().unwrap_or(ledger.folder());
            std::fs::create_dir_all(folder).map_err(OutputError::io(folder))?;
            extracted.features.write(&file)?;
        }
    }
    Ok(true)
}

/// A point's distances to the real images by one extractor, over some rounds; `full` is the point of full depth, where
/// it is another, and is compared over the same rounds.
///
/// # Errors
/// Features are missing; what the metrics refuse.
pub fn quality(
    ledger: &Ledger,
    point: &str,
    full: Option<&str>,
    rounds: &[usize],
    extractor: &dyn Extractor,
    real: &Features,
) -> Result<Quality, BenchError> {
    let drawn = features(ledger, point, rounds, extractor)?;
    let n = drawn.len();
    let difference = match full {
        Some(full) => {
            let full = features(ledger, full, rounds, extractor)?;
            Some(Bootstrap::default().frechet_difference(&drawn, &full, &real.whole)?)
        }
        None => None,
    };
    let floor = real.floor(n)?;
    let manifold = manifold(&drawn, &real.some, &ManifoldOptions::default())?;
    Ok(Quality {
        extractor: extractor.identity().name.clone(),
        n,
        n_reference: real.n_reference,
        n_paired: real.some.len(),
        n_floor: floor.n,
        frechet: Gaussian::of_features(&drawn)?.distance(&real.whole)?,
        frechet_floor: floor.frechet,
        frechet_difference: difference,
        kid: kid(&drawn, &real.some, &KidOptions::default())?.estimate(),
        kid_floor: floor.kid,
        precision: manifold.precision(),
        recall: manifold.recall(),
        density: manifold.density(),
        coverage: manifold.coverage(),
    })
}

/// How near a point's images are to those of full depth.
///
/// # Errors
/// A damaged file.
pub fn fidelity(ledger: &Ledger, point: &str, full: &str, rounds: &[usize]) -> Result<Fidelity, BenchError> {
    let mut pairs = PairedImages::new();
    for &round in rounds {
        let (own, full) = (ledger.drawn(point, round)?, ledger.drawn(full, round)?);
        for (a, b) in own.images.axis_iter(Axis(0)).zip(full.images.axis_iter(Axis(0))) {
            pairs.push(a, b)?;
        }
    }
    Ok(pairs.fidelity()?)
}

/// A point's features of some rounds, in the order of its images.
fn features(
    ledger: &Ledger,
    point: &str,
    rounds: &[usize],
    extractor: &dyn Extractor,
) -> Result<FeatureSet, BenchError> {
    let mut all: Option<FeatureSet> = None;
    for &round in rounds {
        let some = FeatureSet::read(&features_file(ledger, point, round, extractor))?;
        match &mut all {
            Some(all) => all.extend_from(&some)?,
            None => all = Some(some),
        }
    }
    all.ok_or_else(|| BenchError::Damaged { file: ledger.folder().into(), reason: "no rounds".into() })
}

/// Where the features of a round are.
fn features_file(ledger: &Ledger, point: &str, round: usize, extractor: &dyn Extractor) -> PathBuf {
    let folder = ledger.point(point).join(file_name(extractor.identity()));
    folder.join(format!("{round:04}.npz"))
}

fn pixels(drawn: &Drawn) -> Vec<Pixels> {
    let (_, h, w, c) = drawn.images.dim();
    let image =
        |image: ndarray::ArrayView3<u8>| Pixels { shape: [h, w, c], data: image.iter().copied().collect() };
    drawn.images.axis_iter(Axis(0)).map(image).collect()
}
