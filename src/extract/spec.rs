//! The grammar of `--extractor`: `NAME[:resize=clean|legacy][,weights=FILE]`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{EfficientNetLite0, ExtractError, Extractor, FashionFeatures, Inception2015, RawPixels, Resize};
use crate::cache;

/// The networks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Network {
    /// The Inception of the FID.
    Inception2015,
    /// EfficientNet-Lite0.
    EfficientnetLite0,
    /// The classifier of Fashion-MNIST.
    FashionFeatures,
    /// The pixels themselves.
    Pixels,
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Inception2015, Self::EfficientnetLite0, Self::FashionFeatures, Self::Pixels];

    /// Its name, as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inception2015 => "inception-2015",
            Self::EfficientnetLite0 => "efficientnet-lite0",
            Self::FashionFeatures => "fashion-features",
            Self::Pixels => "pixels",
        }
    }

    /// Whether images are resized to its size.
    fn resizes(self) -> bool {
        matches!(self, Self::Inception2015 | Self::EfficientnetLite0)
    }

    /// How its weights are got.
    fn remedy(self) -> &'static str {
        match self {
            Self::Inception2015 => {
                "they are yours to get: `python3 scripts/convert_inception.py` converts \
                 pt_inception-2015-12-05-6726825d.pth or inception-2015-12-05.pt"
            }
            Self::EfficientnetLite0 => "`make extractors` fetches them",
            Self::FashionFeatures => "they are shipped in weights/; `offramp train features` makes them",
            Self::Pixels => "it needs none",
        }
    }
}

/// An extractor, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractorSpec {
    /// Which network.
    pub network: Network,
    /// The resizing rule where one was named; else it is [`Resize::Clean`], for networks that resize.
    pub resize: Option<Resize>,
    /// A weight file of the user's.
    pub weights: Option<PathBuf>,
}

impl ExtractorSpec {
    /// A network with its default rule and weights.
    pub fn new(network: Network) -> Self {
        Self { network, resize: None, weights: None }
    }

    /// The weight file: the user's, or `weights/<name>/model.safetensors` under the first of `roots` that has it, or
    /// that in [`cache_folder`].
    fn find_weights(&self, roots: &[PathBuf]) -> Result<PathBuf, ExtractError> {
        let name = self.network.name();
        let looked_in: Vec<PathBuf> = match &self.weights {
            Some(path) => vec![if path.is_dir() { path.join("model.safetensors") } else { path.clone() }],
            None => {
                let shipped = roots.iter().map(|root| root.join("weights"));
                shipped.chain(cache_folder()).map(|f| f.join(name).join("model.safetensors")).collect()
            }
        };
        match looked_in.iter().find(|file| file.exists()) {
            Some(file) => Ok(file.clone()),
            None => Err(ExtractError::NoWeights { name, looked_in, remedy: self.network.remedy() }),
        }
    }
}

/// Makes an extractor. Its weights are those of the spec, else `weights/<name>/` under the first of `roots` that has
/// it, else those in [`cache_folder`].
///
/// # Errors
/// The weights are not there, damaged, or of another network.
pub fn open(spec: &ExtractorSpec, roots: &[PathBuf]) -> Result<Box<dyn Extractor>, ExtractError> {
    let file = || spec.find_weights(roots);
    let resize = spec.resize.unwrap_or(Resize::Clean);
    Ok(match spec.network {
        Network::Inception2015 => Box::new(Inception2015::open(&file()?, resize)?),
        Network::EfficientnetLite0 => Box::new(EfficientNetLite0::open(&file()?, resize)?),
        Network::FashionFeatures => Box::new(FashionFeatures::open(&file()?)?),
        Network::Pixels => Box::new(RawPixels::new()),
    })
}

/// Where fetched and converted weights are kept: `extractors/` in `$OFFRAMP_CACHE`, or in
/// `${XDG_CACHE_HOME:-~/.cache}/offramp`.
pub fn cache_folder() -> Option<PathBuf> {
    Some(cache::folder()?.join("extractors"))
}

impl FromStr for ExtractorSpec {
    type Err = ExtractError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (name, options) = s.split_once([':', ',']).unwrap_or((s, ""));
        let network = Network::ALL.into_iter().find(|n| n.name() == name).ok_or_else(|| unknown(name))?;
        let mut spec = Self::new(network);
        for option in options.split(',').filter(|o| !o.is_empty()) {
            let refuse =
                |reason: String| ExtractError::Option { spec: s.into(), option: option.into(), reason };
            match option.split_once('=') {
                Some(("resize", _)) if !network.resizes() => {
                    return Err(refuse(format!("{name} takes images as they are")));
                }
                Some(("weights", _)) if network == Network::Pixels => {
                    return Err(refuse(format!("{name} has no weights")));
                }
                Some(("resize", rule)) if spec.resize.is_none() => {
                    spec.resize = Some(rule.parse().map_err(refuse)?);
                }
                Some(("weights", file)) if spec.weights.is_none() && !file.is_empty() => {
                    spec.weights = Some(Path::new(file).to_owned());
                }
                Some(("resize" | "weights", _)) => return Err(refuse("given twice, or empty".into())),
                _ => return Err(refuse("there are resize=clean, resize=legacy and weights=FILE".into())),
            }
        }
        Ok(spec)
    }
}

fn unknown(got: &str) -> ExtractError {
    let names = Network::ALL.map(Network::name);
    let nearest = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(name, got), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name);
    ExtractError::Unknown { got: got.into(), nearest, known: names.join(", ") }
}

impl fmt::Display for ExtractorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.network.name())?;
        let resize = self.resize.map(|rule| format!("resize={rule}"));
        let weights = self.weights.as_ref().map(|file| format!("weights={}", file.display()));
        let options: Vec<String> = resize.into_iter().chain(weights).collect();
        if options.is_empty() { Ok(()) } else { write!(f, ":{}", options.join(",")) }
    }
}
