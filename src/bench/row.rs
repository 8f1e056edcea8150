//! A row of the benchmark: settings, and all that was measured of them.

use serde::{Deserialize, Serialize};

use crate::evaluate::{Estimate, Fidelity, Interval};

/// How images get their classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// Drawn uniformly for each image from its own seed.
    Uniform,
    /// Image k has class k mod the number of classes.
    Balanced,
}

/// What a point runs. Equal settings are the same point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The weights folder's name.
    pub weights: String,
    /// SHA-256 of the weights.
    pub weights_sha256: String,
    /// SHA-256 of their learned exits, where exit or tail is one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exits_sha256: Option<String>,
    /// The solver as typed.
    pub solver: String,
    /// Solver steps.
    pub steps: usize,
    /// The exit as typed.
    pub exit: String,
    /// The tail as typed.
    pub tail: String,
    /// Guidance scale; 1 is none.
    pub guidance: f64,
    /// Images per micro-batch.
    pub batch: usize,
    /// `f32` or `bf16`.
    pub dtype: String,
    /// CPU threads in all.
    pub threads: usize,
    /// Images.
    pub n: usize,
    /// Seed of image 0.
    pub seed: u64,
    /// How images get their classes.
    pub labels: Labels,
}

/// Why a point is in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Role {
    /// The plan asks for it.
    Point,
    /// Full depth at the plan's number of steps: what speed-ups and fidelity refer to.
    Full,
    /// Full depth in fewer solver steps.
    FewerSteps,
    /// The same depth at every evaluation.
    FixedExit,
    /// A schedule over time alone.
    TimeSchedule,
    /// First-block residual cache.
    FirstBlockCache,
    /// Another program, same weights.
    Peer {
        /// Its name.
        name: String,
    },
}

/// Median and extremes over interleaved rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
    /// Rounds.
    pub rounds: usize,
}

/// How fast a point ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Images a second.
    pub images_per_second: Spread,
    /// Time of the row of full depth ÷ time of this one, round by round.
    pub speedup: Option<Spread>,
    /// Cost of the row of full depth ÷ cost of this one.
    pub predicted_speedup: Option<f64>,
    /// Measured ÷ predicted, round by round.
    pub r: Option<Spread>,
    /// Peak resident memory while it ran, bytes.
    pub peak_rss: Option<u64>,
}

/// How deep a point ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Depth {
    /// Blocks of the backbone.
    pub blocks: usize,
    /// Blocks run per evaluation, on average.
    pub mean: f64,
    /// Block cost run ÷ block cost of the same evaluations at full depth.
    pub cost_share: f64,
    /// Block cost of one image, in evaluations at full depth.
    pub cost: f64,
}

/// Depth at one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AtTime {
    /// Its time t.
    pub t: f64,
    /// Mean depth over images.
    pub depth: f64,
    /// Standard deviation of depth over images: 0 is a schedule.
    pub deviation: f64,
}

/// How near a set of images is to the reference set, by one extractor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The extractor's name.
    pub extractor: String,
    /// Images drawn.
    pub n: usize,
    /// Real images that the Fréchet distance is to.
    pub n_reference: usize,
    /// Real images among them that pairs are made with, for kernel distance and manifolds.
    pub n_paired: usize,
    /// Other real images that the floors are of: as many as were drawn, where there are so many.
    pub n_floor: usize,
    /// Fréchet distance to the reference.
    pub frechet: f64,
    /// Fréchet distance of the floor's real images to the reference.
    pub frechet_floor: f64,
    /// Fréchet distance minus that of the row of full depth, resampled by image.
    pub frechet_difference: Option<Interval>,
    /// Kernel distance.
    pub kid: Estimate,
    /// Kernel distance of the floor's real images.
    pub kid_floor: Estimate,
    /// Share of drawn images inside the real manifold, k = 3.
    pub precision: f64,
    /// Share of real images inside the drawn manifold, k = 3.
    pub recall: f64,
    /// Density, k = 5.
    pub density: f64,
    /// Coverage, k = 5.
    pub coverage: f64,
}

/// How another program was run, and what was checked of it first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerFacts {
    /// The versions of its libraries.
    pub versions: String,
    /// How it was spread over the processor, the fastest way first: that one drew the images.
    pub trials: Vec<PeerTrial>,
    /// Seconds that it compiled, which are in none of its times.
    pub compile_seconds: f64,
    /// Largest difference between its forward and ours, as a share of the largest output.
    pub forward_difference: f64,
    /// Largest difference of a pixel between its images and those of our full depth, x in the value range.
    pub image_difference: f64,
    /// Mean depth whose output was taken, where it runs blocks whose output it does not take.
    pub taken_depth: Option<f64>,
    /// Images that it drew, the first round's included.
    pub images: usize,
}

/// A way to spread a program over the processor, and how fast it was for a few steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerTrial {
    /// Processes and threads of each.
    pub arrangement: String,
    /// Network evaluations of single images a second.
    pub evaluations_per_second: f64,
}

/// One point of a plan and what was measured of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Names the point: a digest of its settings and role.
    pub id: String,
    /// Why it is there.
    pub role: Role,
    /// What it ran.
    pub settings: Settings,
    /// Why nothing was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How fast.
    pub speed: Option<Speed>,
    /// How deep.
    pub depth: Option<Depth>,
    /// Depth against time.
    pub by_time: Vec<AtTime>,
    /// How good, by extractor.
    pub quality: Vec<Quality>,
    /// How near to full depth.
    pub fidelity: Option<Fidelity>,
    /// Of another program: how it was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerFacts>,
}
