//! The arguments of `offramp evaluate`.

use std::path::PathBuf;

use offramp::evaluate::Extraction;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Metric {
    /// Fréchet distance; FID where the extractor is inception-2015.
    Fd,
    /// Kernel distance.
    Kid,
    /// Precision, recall, density, coverage.
    Manifold,
    /// Inception Score, where the extractor has classes.
    Is,
    /// RMSE, PSNR and SSIM of images of equal names.
    Paired,
}

/// Says how far a set of images is from another.
///
/// A set is a folder of PNG or JPEG images, an .npz with arr_0 (u8, NHWC or NHW), an IDX file,
/// data:fashion-mnist/train or data:fashion-mnist/test, or statistics (.npz with mu and sigma), of which only the
/// Fréchet distance is told. PATH#FROM..TO takes a part of a set.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    offramp evaluate out/swift data:fashion-mnist/test\n  \
    offramp evaluate out/swift real.npz --against out/full --out swift.json\n  \
    offramp evaluate 'real.npz#0..5000' 'real.npz#5000..10000'\n  \
    offramp evaluate out/swift out/full --metrics paired")]
pub struct Args {
    /// The images that are judged.
    pub a: PathBuf,

    /// The images that they are judged by.
    pub b: PathBuf,

    /// Judge these too, and say whether A differs from them.
    #[arg(long, value_name = "C")]
    pub against: Option<PathBuf>,

    /// NAME[:resize=clean|legacy][,weights=FILE], of inception-2015, efficientnet-lite0, fashion-features,
    /// pixels; may be repeated. By default fashion-features for grey images of 28×28, else efficientnet-lite0.
    #[arg(long, value_name = "SPEC")]
    pub extractor: Vec<String>,

    /// What to measure; by default all that can be.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub metrics: Vec<Metric>,

    /// Nearest neighbours that span the manifold for precision and recall.
    #[arg(long, default_value_t = 3, value_name = "K")]
    pub k: usize,

    /// The same for density and coverage.
    #[arg(long, default_value_t = 5, value_name = "K")]
    pub k_density: usize,

    /// Subsets that KID is the mean over.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub kid_subsets: usize,

    /// Images in each of them; by default 1000, or all of the smaller set.
    #[arg(long, value_name = "N")]
    pub kid_size: Option<usize>,

    /// Bootstrap resamples behind each interval.
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub resamples: usize,

    /// The seed of resamples and KID's subsets.
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub seed: u64,

    /// Pair A's images with B's by their order, where they have no names.
    #[arg(long)]
    pub paired: bool,

    /// Images per micro-batch; features are equal to the last bit only where this is.
    #[arg(long, default_value_t = Extraction::DEFAULT_BATCH, value_name = "N")]
    pub batch: usize,

    /// CPU threads; by default one a core.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    /// Also write all numbers as JSON.
    #[arg(long, value_name = "FILE.json")]
    pub out: Option<PathBuf>,

    /// All numbers as one line of JSON on stdout, and no table.
    #[arg(long)]
    pub json: bool,

    /// No progress, no explanations: the table alone.
    #[arg(long, short)]
    pub quiet: bool,
}
