//! What a peer answers, order by order: see `scripts/peers/sampler_peer.py`.

use serde::Deserialize;

/// A peer's first words.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Hello {
    pub torch: String,
    pub diffusers: String,
    pub blocks: usize,
    pub exact: bool,
}

#[derive(Deserialize)]
pub(super) struct Checked {
    pub difference: f64,
    pub compile_seconds: f64,
}

#[derive(Deserialize)]
pub(super) struct Prepared {
    pub compile_seconds: f64,
}

#[derive(Deserialize)]
pub(super) struct Timed {
    pub start: f64,
    pub end: f64,
    pub peak_rss: Option<u64>,
    pub evaluations: u64,
    pub blocks_run: u64,
    pub taken_depth: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Written {
    pub images: usize,
}
