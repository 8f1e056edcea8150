//! What was seen of every image at every time and exit.

use ndarray::{Array3, ArrayView1};
use serde::Serialize;

/// The number that an exit policy compares with its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalKind {
    /// An estimator's u: leave below the threshold.
    Uncertainty,
    /// An estimator's c; the table has 1 − c: leave above the threshold.
    Certainty,
    /// A gate's probability λ; the table has 1 − λ: leave at the threshold or above.
    Gate,
}

impl SignalKind {
    /// Whether the policy with this threshold leaves at the table's number.
    pub fn leaves(self, u: f64, threshold: f64) -> bool {
        match self {
            Self::Uncertainty => u < threshold,
            Self::Certainty => u < 1.0 - threshold,
            Self::Gate => u <= 1.0 - threshold,
        }
    }

    /// The policy's threshold that leaves below the table's number `u`.
    pub(super) fn threshold(self, u: f64) -> f64 {
        match self {
            Self::Uncertainty => u,
            _ => 1.0 - u,
        }
    }

    /// The policy as typed, without its threshold.
    pub fn policy(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            _ => "uncertainty",
        }
    }
}

/// One kind of number over a table.
#[derive(Debug, Clone)]
pub struct Signal {
    /// What it is.
    pub kind: SignalKind,
    /// The higher, the longer an image stays: u, 1 − c or 1 − λ, in [0, 1], `[K, P, M]`.
    pub u: Array3<f64>,
}

/// M images at K times and P exits.
#[derive(Debug, Clone)]
pub struct ExitTable {
    /// T: times are in [0, T).
    pub timesteps: usize,
    /// The K times, ascending.
    pub times: Vec<f64>,
    /// Depths of the P exits, ascending; all below `depth`.
    pub points: Vec<usize>,
    /// N.
    pub depth: usize,
    /// Block cost of leaving at each exit as a share of full depth's, `[P]`.
    pub costs: Vec<f64>,
    /// Mean over pixels of (g_i − ε)²; full depth stands last, `[K, P + 1, M]`.
    pub noise_error: Array3<f64>,
    /// Mean over pixels of (g_i − g_N)², `[K, P, M]`.
    pub full_error: Array3<f64>,
    /// d: mean over pixels of |g_i − g_N|, `[K, P, M]`.
    pub distance: Array3<f64>,
    /// What there is to decide by.
    pub signals: Vec<Signal>,
}

impl ExitTable {
    /// M.
    pub fn images(&self) -> usize {
        self.distance.dim().2
    }
}

/// The cells (time, exit) of an array, each with one number an image.
pub(super) fn cells(array: &Array3<f64>) -> impl Iterator<Item = ArrayView1<'_, f64>> {
    array.rows().into_iter()
}
