//! Inception Score (Salimans et al. 2016): exp of the mean divergence of p(class | image) from p(class).

use ndarray::{Array1, ArrayView2};

use super::MetricError;

/// Sums over images from which the score follows; images may come from several shards.
///
/// Image i belongs to split i mod `splits`, so that a folder sorted by class does not put one class in each
/// split. p log p is summed per split, and p per class and split: memory does not grow with N.
#[derive(Debug, Clone)]
pub struct InceptionScore {
    classes: usize,
    splits: Vec<Split>,
}

#[derive(Debug, Clone)]
struct Split {
    images: u64,
    /// Σ p, `[K]`.
    probability: Array1<f64>,
    /// Σ p log p.
    entropy: f64,
}

/// Mean and spread of the score over splits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SplitScore {
    /// Mean over splits.
    pub mean: f64,
    /// Standard deviation over splits, with 1/n, as the field prints it.
    pub deviation: f64,
}

impl InceptionScore {
    /// Of nothing yet. The field's number of splits is 10.
    ///
    /// # Errors
    /// No classes or no splits.
    pub fn new(classes: usize, splits: usize) -> Result<Self, MetricError> {
        for (name, got) in [("classes", classes), ("splits", splits)] {
            if got == 0 {
                return Err(MetricError::Option { name, expected: "at least 1", got });
            }
        }
        let split = Split { images: 0, probability: Array1::zeros(classes), entropy: 0.0 };
        Ok(Self { classes, splits: vec![split; splits] })
    }

    /// Adds logits, `[n, K]`, of images `first`, `first` + 1, ….
    ///
    /// # Errors
    /// Logits of another number of classes, or not finite.
    pub fn push(&mut self, first: u64, logits: ArrayView2<f32>) -> Result<(), MetricError> {
        super::feature_set::check_rows(logits, self.classes, first)?;
        let splits = self.splits.len() as u64;
        for (index, row) in (first..).zip(logits.rows()) {
            let split = &mut self.splits[(index % splits) as usize];
            let largest = row.iter().fold(f64::NEG_INFINITY, |most, &v| most.max(f64::from(v)));
            let shifted = row.mapv(|v| f64::from(v) - largest);
            let log_sum = shifted.mapv(f64::exp).sum().ln();
            let log_p = shifted - log_sum;
            let p = log_p.mapv(f64::exp);
            split.entropy += p.dot(&log_p);
            split.probability += &p;
            split.images += 1;
        }
        Ok(())
    }

    /// Adds all that another has seen.
    ///
    /// # Errors
    /// Another number of classes or of splits.
    pub fn merge(&mut self, other: &InceptionScore) -> Result<(), MetricError> {
        if self.classes != other.classes {
            return Err(MetricError::Widths { expected: self.classes, got: other.classes });
        }
        if self.splits.len() != other.splits.len() {
            return Err(MetricError::Option {
                name: "splits",
                expected: "must be the same for both",
                got: other.splits.len(),
            });
        }
        for (ours, theirs) in self.splits.iter_mut().zip(&other.splits) {
            ours.images += theirs.images;
            ours.entropy += theirs.entropy;
            ours.probability += &theirs.probability;
        }
        Ok(())
    }

    /// The score.
    ///
    /// # Errors
    /// A split has no image.
    pub fn score(&self) -> Result<SplitScore, MetricError> {
        let images: u64 = self.splits.iter().map(|s| s.images).sum();
        if self.splits.iter().any(|s| s.images == 0) {
            let least = self.splits.len() as u64;
            return Err(MetricError::TooFew { what: "Inception Score", least, got: images });
        }
        let scores: Vec<f64> = self.splits.iter().map(Split::score).collect();
        let n = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
        Ok(SplitScore { mean, deviation: variance.sqrt() })
    }
}

impl Split {
    fn score(&self) -> f64 {
        let n = self.images as f64;
        let marginal = self.probability.mapv(|sum| sum / n);
        // A class of probability 0 adds nothing.
        let marginal_entropy: f64 = marginal.iter().filter(|&&q| q > 0.0).map(|q| q * q.ln()).sum();
        (self.entropy / n - marginal_entropy).exp()
    }
}
