//! What `evaluate` found, as it goes into JSON.

use offramp::evaluate::{Fidelity, Interval};
use offramp::extract::Identity;
use serde::Serialize;

/// Everything.
#[derive(Debug, Serialize)]
pub struct Report {
    pub event: &'static str,
    pub version: &'static str,
    pub a: Set,
    pub b: Set,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Set>,
    pub extractors: Vec<ByExtractor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paired: Option<Paired>,
    /// What the reader must know to read the numbers rightly.
    pub notes: Vec<String>,
}

/// A set of images, or statistics of one.
#[derive(Debug, Serialize)]
pub struct Set {
    pub name: String,
    /// N; none for statistics that do not say it.
    pub n: Option<u64>,
    /// `[H, W, C]`; none for statistics.
    pub shape: Option<[usize; 3]>,
}

/// All numbers of one extractor.
#[derive(Debug, Serialize)]
pub struct ByExtractor {
    /// None for statistics that do not say it.
    pub extractor: Option<Identity>,
    /// Why it was taken, where none was typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// d.
    pub width: usize,
    /// What the Fréchet distance is called: FID for inception-2015 alone.
    pub fd_name: &'static str,
    /// A to B.
    pub a: Measured,
    /// C to B.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Measured>,
    /// Of A's Fréchet distance and C's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd_difference: Option<Interval>,
    /// B's own, for comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inception_score_of_b: Option<Score>,
}

/// One set judged by B.
#[derive(Debug, Default, Serialize)]
pub struct Measured {
    pub fd: Option<f64>,
    pub kid: Option<Kid>,
    pub manifold: Option<Manifold>,
    pub inception_score: Option<Score>,
}

#[derive(Debug, Serialize)]
pub struct Kid {
    pub value: f64,
    pub standard_error: f64,
    pub subsets: usize,
    pub subset_size: usize,
    /// Over the whole sets, unbiased.
    pub full: f64,
}

#[derive(Debug, Serialize)]
pub struct Manifold {
    pub precision: f64,
    pub recall: f64,
    pub density: f64,
    pub coverage: f64,
    pub k: usize,
    pub k_density: usize,
}

#[derive(Debug, Serialize)]
pub struct Score {
    pub mean: f64,
    /// Standard deviation over the splits.
    pub deviation: f64,
    pub splits: usize,
}

/// Image by image.
#[derive(Debug, Serialize)]
pub struct Paired {
    /// How images found each other.
    pub by: &'static str,
    pub pairs: usize,
    /// A to B.
    pub a: Fidelity,
    /// C to B.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Fidelity>,
    /// Of the pairs' RMSE, A's less C's, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmse_difference: Option<Interval>,
    /// Of the pairs' SSIM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssim_difference: Option<Interval>,
}
