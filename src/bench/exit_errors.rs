//! The error of every exit at every time.

use serde::{Deserialize, Serialize};

/// How far the prediction of each exit is from that of full depth, along trajectories at full depth.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ExitErrors {
    /// The weights folder's name.
    pub weights: String,
    /// Blocks of the backbone.
    pub blocks: usize,
    /// Times of the evaluations.
    pub t: Vec<f64>,
    /// Mean over images of the mean square error of the exit after block `exit` + 1, `[t][exit]`.
    pub error: Vec<Vec<f64>>,
    /// Its standard deviation over images, `[t][exit]`.
    pub spread: Vec<Vec<f64>>,
    /// Images.
    pub n: usize,
}
