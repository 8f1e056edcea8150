//! The real images of a plan, the extractors that look at them, and their features: what every distance is to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::plan::Plan;
use super::plan_error::PlanError;
use super::told::{Tell, Told};
use super::{BenchError, Estimate};
use crate::digest::hex;
use crate::evaluate::{EvaluateError, Extraction, FeatureSet, Gaussian, ImageSet, KidOptions, kid};
use crate::extract::{Extractor, ExtractorSpec, Identity, open};
use crate::output::OutputError;

/// Kernel distance and manifolds take time quadratic in the real images; of larger sets they see so many, evenly
/// spaced.
pub const MOST_REAL: usize = 10_000;

/// The sets and extractors of a plan, opened.
pub struct Real {
    reference: ImageSet,
    floor: ImageSet,
    /// In the plan's order.
    pub extractors: Vec<Box<dyn Extractor>>,
}

/// What one extractor says of the real images.
pub struct Features {
    /// Of the whole reference.
    pub whole: Gaussian,
    /// Some of the reference, evenly spaced.
    pub some: FeatureSet,
    /// Images of the reference.
    pub n_reference: usize,
    others: FeatureSet,
    floors: RefCell<BTreeMap<usize, Floor>>,
}

/// How near other real images are to the reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floor {
    /// Images: as many as were asked for, or as many as there are.
    pub n: usize,
    /// Fréchet distance.
    pub frechet: f64,
    /// Kernel distance.
    pub kid: Estimate,
}

impl Features {
    /// The floor for `n` images drawn.
    ///
    /// # Errors
    /// What the metrics refuse.
    pub fn floor(&self, n: usize) -> Result<Floor, BenchError> {
        if let Some(&floor) = self.floors.borrow().get(&n) {
            return Ok(floor);
        }
        let others = evenly(&self.others, n)?;
        let floor = Floor {
            n: others.len(),
            frechet: Gaussian::of_features(&others)?.distance(&self.whole)?,
            kid: kid(&others, &self.some, &KidOptions::default())?.estimate(),
        };
        self.floors.borrow_mut().insert(n, floor);
        Ok(floor)
    }
}

impl Real {
    /// Opens what a plan names; `None` where it names no extractors. `roots` are where weights are looked for, `shape`
    /// `[H, W, C]` is that of the images drawn.
    ///
    /// # Errors
    /// A set or an extractor cannot be opened, or they do not go together.
    pub fn open(plan: &Plan, roots: &[PathBuf], shape: [usize; 3]) -> Result<Option<Self>, BenchError> {
        let (Some(reference), Some(floor)) = (&plan.reference, &plan.floor) else { return Ok(None) };
        let refuse = |name: &str, reason: String| PlanError::value("extractors", format!("{name:?}"), reason);
        let mut extractors: Vec<Box<dyn Extractor>> = vec![];
        for name in &plan.extractors {
            let spec: ExtractorSpec = name.parse().map_err(|e| refuse(name, format!("{e}")))?;
            let extractor = open(&spec, roots).map_err(|e| refuse(name, e.to_string()))?;
            extractor.width(shape).map_err(|e| refuse(name, e.to_string()))?;
            if extractors.iter().any(|e| e.identity() == extractor.identity()) {
                return Err(refuse(name, "it is there twice".into()).into());
            }
            extractors.push(extractor);
        }
        let sets = [("reference", reference), ("floor", floor)];
        let [reference, floor] = sets.map(|(key, name)| -> Result<ImageSet, BenchError> {
            let refuse = |reason: String| PlanError::value(key, format!("{name:?}"), reason);
            let set = ImageSet::open(name).map_err(|e| refuse(e.to_string()))?;
            if set.shape() != shape {
                let reason = format!("its images are {:?} [H, W, C], and {shape:?} are drawn", set.shape());
                return Err(refuse(reason).into());
            }
            Ok(set)
        });
        Ok(Some(Self { reference: reference?, floor: floor?, extractors }))
    }

    /// Features of the real images by one extractor, kept in `folder` for the next time. `None`: it was stopped.
    ///
    /// # Errors
    /// A damaged image; the disk's.
    pub fn features(
        &self,
        extractor: &dyn Extractor,
        folder: &Path,
        threads: usize,
        tell: &mut Tell,
    ) -> Result<Option<Features>, BenchError> {
        let Some(reference) = of_set(&self.reference, extractor, folder, threads, tell)? else {
            return Ok(None);
        };
        let Some(others) = of_set(&self.floor, extractor, folder, threads, tell)? else { return Ok(None) };
        let whole = Gaussian::of_features(&reference)?;
        let some = evenly(&reference, MOST_REAL)?;
        let (n_reference, floors) = (reference.len(), RefCell::default());
        Ok(Some(Features { whole, some, n_reference, others, floors }))
    }
}

/// At most `n` rows of a set, evenly spaced.
fn evenly(set: &FeatureSet, n: usize) -> Result<FeatureSet, BenchError> {
    let n = n.min(set.len());
    let indices: Vec<usize> = (0..n).map(|i| i * set.len() / n.max(1)).collect();
    let rows = set.gather(&indices).map_err(|source| EvaluateError::Temporary { source })?;
    Ok(FeatureSet::from_rows(set.identity().clone(), rows.view())?)
}

/// A short name of an extractor's features for files.
pub fn file_name(identity: &Identity) -> String {
    let text = serde_json::to_string(identity).unwrap_or_default();
    format!("{}-{}", identity.name, &hex(&Sha256::digest(text.as_bytes()))[..8])
}

fn of_set(
    set: &ImageSet,
    extractor: &dyn Extractor,
    folder: &Path,
    threads: usize,
    tell: &mut Tell,
) -> Result<Option<FeatureSet>, BenchError> {
    let digest = digest(set)?;
    let file = folder.join(format!("{}-{}.npz", file_name(extractor.identity()), &digest[..12]));
    if file.is_file() {
        return Ok(Some(FeatureSet::read(&file)?));
    }
    std::fs::create_dir_all(folder).map_err(OutputError::io(folder))?;
    let what = format!("{} of {}, {} images", extractor.identity().name, set.name(), set.len());
    if tell(Told::Working { what: &what }).is_break() {
        return Ok(None);
    }
    let extracted = Extraction::new(threads).run(set, extractor, &mut |_, _| tell(Told::Tick));
    match extracted {
        Ok(extracted) => {
            extracted.features.write(&file)?;
            Ok(Some(extracted.features))
        }
        Err(EvaluateError::Stopped { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// SHA-256 of a set's pixels.
fn digest(set: &ImageSet) -> Result<String, BenchError> {
    let mut hash = Sha256::new();
    let mut from = 0;
    while from < set.len() {
        let to = (from + 1024).min(set.len());
        for pixels in set.read(from..to)? {
            hash.update(&pixels.data);
        }
        from = to;
    }
    Ok(hex(&hash.finalize()))
}
