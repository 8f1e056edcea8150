//! The arguments of `offramp generate`.

use std::path::PathBuf;

/// Draws images.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  \
    offramp generate --class all --schedule ase-demo --grid clothes.png\n  \
    offramp generate --class sneaker --count 100 --steps 10 --seed 7 --out sneakers\n  \
    offramp generate --class dress --solver ddim:eta=1 --steps 50 --guidance 1.5 --guidance-interval 200,800")]
pub struct Args {
    /// A weights folder, or its name under weights/.
    #[arg(long, default_value = crate::cli::DEFAULT_WEIGHTS, value_name = "NAME|DIR")]
    pub weights: String,

    /// What to draw: a label, an index, all, none (unconditional), or a list of them that images take in
    /// turn.
    #[arg(long, default_value = "all", value_name = "NAME|INDEX|all")]
    pub class: String,

    /// How many images; by default one of each class named.
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,

    /// Solver steps.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub steps: usize,

    /// The solver and its options, NAME[:KEY=VALUE,…]: ddim, ddpm, dpm-solver-2, dpm-solver-3, dpm-solver-2m,
    /// dpm-solver-3m, dpm-solver++1, dpm-solver++2m, dpm-solver++3m, dpm-solver++2s, dpm-solver++3s,
    /// dpm-solver++2m-sde, euler, euler-ancestral, heun, unipc, diffusers:NAME.
    #[arg(long, default_value = "dpm-solver++2m", value_name = "SPEC")]
    pub solver: String,

    /// Where evaluations leave the network: full, fixed:DEPTH, schedule:NAME|FILE, uncertainty:THRESHOLD (when the
    /// weights' trained estimators pass it), gate:THRESHOLD or gate:q=QUANTILE (when their trained gates do),
    /// similarity:THRESHOLD (when a block turns the state less), change:THRESHOLD[,after=BLOCKS] (when the first
    /// blocks change less than that), patience:COUNT[,change=SHARE] (when so many exits agreed), best:BUDGET (the best
    /// schedule that was found), threshold:NAME|FILE[,force] (a calibrated exit). Behind any of them:
    /// min=DEPTH|SCHEDULE, max=DEPTH|SCHEDULE, warmup=COUNT, cap=COUNT, only=EVALUATIONS, pair=max|mean|cond|apart.
    #[arg(long, default_value = "full", value_name = "SPEC")]
    pub exit: String,

    /// What stands in for skipped blocks: head (the network's own final layer), heads (trained ones before it),
    /// residual (what they added at the image's last full evaluation), forecast:ORDER (that, carried on over log-SNR;
    /// 0 to 3); behind the last two over=heads corrects trained heads. By default heads if the weights have them, else
    /// head.
    #[arg(long, value_name = "SPEC")]
    pub tail: Option<String>,

    /// Of --exit best: the most that it may cost, a share of full depth's block cost.
    #[arg(long, value_name = "SHARE")]
    pub budget: Option<f64>,

    /// Short for --exit schedule:NAME|FILE.
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "exit")]
    pub schedule: Option<String>,

    /// Draft so many steps at a time with the exit, and check them in one pass at full depth.
    #[arg(long, value_name = "K", requires = "tolerance")]
    pub verify: Option<usize>,

    /// How far a drafted step may be from the full one, as RMSE with x in [-1, 1]: 0 is full depth, inf the draft.
    #[arg(long, value_name = "RMSE", requires = "verify")]
    pub tolerance: Option<f64>,

    /// Classifier-free guidance scale; 1 is none.
    #[arg(long, default_value_t = 1.0, value_name = "SCALE")]
    pub guidance: f64,

    /// Times at which guidance acts.
    #[arg(long, value_name = "LO,HI", value_delimiter = ',', num_args = 1)]
    pub guidance_interval: Option<Vec<f64>>,

    /// Channels that guidance acts on, from the first; by default all.
    #[arg(long, value_name = "N")]
    pub guidance_channels: Option<usize>,

    /// The seed of image 0; image k is drawn from this + k.
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub seed: u64,

    /// Initial noise [N, C, H, W] in place of the seeds' (.npy).
    #[arg(long, value_name = "FILE")]
    pub noise: Option<PathBuf>,

    /// Start from this image (PNG or JPEG of the model's size).
    #[arg(long, value_name = "IMAGE")]
    pub init: Option<PathBuf>,

    /// Share of the steps run from --init, in (0, 1].
    #[arg(long, default_value_t = 0.6, value_name = "S", requires = "init")]
    pub strength: f64,

    /// Images per micro-batch; by default chosen from count and threads.
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,

    /// CPU threads; by default one a core.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    /// cpu, cuda or cuda:INDEX.
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    pub device: String,

    /// Arithmetic of the network: f32 or bf16.
    #[arg(long, default_value = "f32", value_parser = ["f32", "bf16"])]
    pub dtype: String,

    /// The folder that images go into, as NNNNNN.png.
    #[arg(long, default_value = "out", value_name = "DIR")]
    pub out: PathBuf,

    /// Keep finished images in --out and draw the missing ones.
    #[arg(long, conflicts_with = "overwrite")]
    pub resume: bool,

    /// Remove the numbered images in --out first.
    #[arg(long)]
    pub overwrite: bool,

    /// Also write all images as one contact sheet.
    #[arg(long, value_name = "FILE.png")]
    pub grid: Option<PathBuf>,

    /// Also write all images as arr_0 (u8, NHWC) and labels as arr_1.
    #[arg(long, value_name = "FILE.npz")]
    pub npz: Option<PathBuf>,

    /// Write a sheet of the first predictions into OUT/preview every K evaluations.
    #[arg(long, value_name = "K")]
    pub preview_every: Option<usize>,

    /// Write depths and uncertainties of every image and evaluation.
    #[arg(long, value_name = "FILE.json")]
    pub trace: Option<PathBuf>,

    /// Write the depths of every image and evaluation as a picture.
    #[arg(long, value_name = "FILE.png")]
    pub heat_map: Option<PathBuf>,

    /// Afterwards draw the first images again, at full depth and as asked in turns, and say how much faster this is and
    /// how far the images are apart.
    #[arg(long)]
    pub measure: bool,

    /// JSON lines on stdout: one per image, one at the end.
    #[arg(long)]
    pub json: bool,

    /// No progress and no summary.
    #[arg(long, short)]
    pub quiet: bool,
}
