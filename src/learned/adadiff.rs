//! Estimators as AdaDiff's released code names them: `lte_classifer.{i}.lte.{weight,bias}` (sic), a linear layer
//! from D to p²·C behind block i, counted from 0, with a sigmoid; it gives certainty.

use std::collections::BTreeMap;
use std::path::Path;

use super::config::{EstimatorConfig, EstimatorKind, HeadKind, LearnedConfig, Target, VERSION};
use super::{LearnedError, LearnedExits};
use crate::backbone::Checkpoint;

impl LearnedExits {
    /// Reads the estimators out of a checkpoint of AdaDiff's (as `.safetensors`; other tensors may be in it), for a
    /// backbone of `depth` blocks over `grid` tokens `[h, w]` whose weights have this SHA-256 (hex).
    ///
    /// The one behind the last block, where there is nothing to skip, is left out.
    ///
    /// # Errors
    /// The file cannot be read; it has no such estimators before the end, or they do not go together.
    pub fn from_adadiff(
        file: &Path,
        depth: usize,
        grid: [usize; 2],
        weights_sha256: &str,
    ) -> Result<Self, LearnedError> {
        let refuse = |reason: String| LearnedError::AdaDiff { file: file.to_owned(), reason };
        let checkpoint = Checkpoint::open(file)?;
        let stored = checkpoint.tensors();
        let weights: BTreeMap<usize, &[usize]> = stored
            .iter()
            .filter_map(|(name, (shape, _))| {
                let block = name.strip_prefix("lte_classifer.")?.strip_suffix(".lte.weight")?;
                Some((block.parse::<usize>().ok()?, shape.as_slice()))
            })
            .filter(|&(block, _)| block.saturating_add(1) < depth)
            .collect();
        let Some(&first) = weights.values().next() else {
            return Err(refuse(format!(
                "no lte_classifer.I.lte.weight for I below {}",
                depth.saturating_sub(1)
            )));
        };
        let &[patch_outputs, width] = first else {
            return Err(refuse(format!("a weight of shape {first:?}, and [p²·C, D] is expected")));
        };
        let config = LearnedConfig {
            version: VERSION,
            weights_sha256: weights_sha256.into(),
            width,
            grid,
            patch_outputs,
            points: weights.keys().map(|block| block + 1).collect(),
            heads: HeadKind::Shared,
            estimator: Some(EstimatorConfig::new(EstimatorKind::Released, Target::Noise)),
            gate: None,
        };
        let (mut tensors, _) = checkpoint.read()?;
        for block in weights.keys() {
            for part in ["weight", "bias"] {
                if let Some(tensor) = tensors.remove(&format!("lte_classifer.{block}.lte.{part}")) {
                    tensors.insert(format!("estimators.{}.{part}", block + 1), tensor);
                }
            }
        }
        Self::assemble(config, &tensors)
    }
}
