//! Why a number cannot be had.

use std::path::PathBuf;

use crate::data::ArrayError;
use crate::extract::Identity;
use crate::output::OutputError;

/// Why sets cannot be compared, or statistics not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// A variance needs two.
    #[error("{what}: {got} images; at least {least} are needed")]
    TooFew {
        /// What was to be worked out.
        what: &'static str,
        /// How many there must be.
        least: u64,
        /// How many there are.
        got: u64,
    },
    /// Features of two extractors, or of two resizing rules.
    #[error("features of {} cannot be compared with features of {}", name(.left), name(.right))]
    Extractors {
        /// Which features the one set has.
        left: Box<Identity>,
        /// Which features the other set has.
        right: Box<Identity>,
    },
    /// Statistics of another program, which does not say of how many images.
    #[error("statistics that do not say of how many images they are cannot be added to")]
    Uncounted,
    /// Feature vectors of two widths.
    #[error("features of {got} numbers beside features of {expected}")]
    Widths {
        /// The width of the first.
        expected: usize,
        /// The width of the second.
        got: usize,
    },
    /// Sets that belong together image by image and are not of one size.
    #[error("{left} images cannot be paired with {right}")]
    Unpaired {
        /// N of the one.
        left: usize,
        /// N of the other.
        right: usize,
    },
    /// A subset larger than the set.
    #[error("subsets of {size} images cannot be drawn from {images}")]
    SubsetSize {
        /// Images per subset.
        size: usize,
        /// Images there are.
        images: usize,
    },
    /// An index beyond the set.
    #[error("image {index} of a set of {images}")]
    Index {
        /// The index.
        index: usize,
        /// N.
        images: usize,
    },
    /// An option out of its range.
    #[error("{name} is {got}; {expected}")]
    Option {
        /// The option.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        got: usize,
    },
    /// A network gave NaN or infinity.
    #[error("feature {column} of image {image} is {value}")]
    NotFinite {
        /// The image, counted from the first pushed.
        image: u64,
        /// Its feature.
        column: usize,
        /// The value.
        value: f32,
    },
    /// Images of two shapes.
    #[error("an image of {got:?} beside one of {expected:?} [H, W, C]")]
    Shapes {
        /// The first.
        expected: Vec<usize>,
        /// The second.
        got: Vec<usize>,
    },
    /// A mean or a covariance whose square is no number any more.
    #[error("the Fréchet distance is no finite number: means or covariances are too large")]
    TooLarge,
    /// An eigendecomposition failed.
    #[error("no eigendecomposition of a {width} × {width} matrix was found")]
    NoConvergence {
        /// Rows of the matrix.
        width: usize,
    },
    /// A file of arrays is refused.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// A file that says what it is in a way not understood.
    #[error("{}: identity: {reason}", file.display())]
    Identity {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Features are kept in an unnamed file, and the system refused it.
    #[error("the temporary file of features: {0}")]
    Scratch(#[from] std::io::Error),
}

impl MetricError {
    /// Whether the caller asked for something that cannot be, as opposed to something that went wrong on
    /// the way.
    pub fn is_bad_input(&self) -> bool {
        match self {
            MetricError::Scratch(_) | MetricError::NoConvergence { .. } | MetricError::NotFinite { .. } => {
                false
            }
            MetricError::Output(OutputError::Io { source, .. }) => {
                source.kind() == std::io::ErrorKind::NotFound
            }
            MetricError::Array(error) => error.is_bad_input(),
            _ => true,
        }
    }
}

/// An identity in a sentence.
fn name(identity: &Identity) -> String {
    // The file is anyone's: what it calls a digest need not be ASCII.
    let weights: String = identity.weights_sha256.iter().flat_map(|digest| digest.chars()).take(12).collect();
    match weights.as_str() {
        "" => format!("{} (resize {})", identity.name, identity.resize),
        weights => format!("{} (resize {}, weights {weights}…)", identity.name, identity.resize),
    }
}

/// Refuses to compare what is not comparable.
pub(super) fn check_comparable(
    left: (Option<&Identity>, usize),
    right: (Option<&Identity>, usize),
) -> Result<(), MetricError> {
    if let (Some(l), Some(r)) = (left.0, right.0)
        && l != r
    {
        return Err(MetricError::Extractors { left: Box::new(l.clone()), right: Box::new(r.clone()) });
    }
    if left.1 != right.1 {
        return Err(MetricError::Widths { expected: left.1, got: right.1 });
    }
    Ok(())
}
