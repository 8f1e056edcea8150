//! What can be wrong with a data set.

use std::path::PathBuf;

use tch::TchError;

use super::{ArrayError, Skipped};

/// Why a data set is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The system refused, or the compressed stream is damaged.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The data set is nowhere.
    #[error(
        "{name} is not there: looked in {}; `make data` fetches it",
        looked_in.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    Absent {
        /// The data set.
        name: &'static str,
        /// Where it could have been.
        looked_in: Vec<PathBuf>,
    },
    /// No data set has this name.
    #[error("data:{name}: no such data set; there are {}", known.iter().map(|k| format!("data:{k}")).collect::<Vec<_>>().join(" and "))]
    Unknown {
        /// The name, behind `data:`.
        name: String,
        /// All names.
        known: &'static [&'static str],
    },
    /// The first four bytes are not an IDX file's.
    #[error("{}: not an IDX file: it starts with {got:02x?}, and not with 00 00, a type and a rank", file.display())]
    NotIdx {
        /// The file.
        file: PathBuf,
        /// Its first bytes.
        got: Vec<u8>,
    },
    /// IDX, but not of bytes.
    #[error("{}: IDX of type 0x{got:02x}; unsigned bytes (0x08) are needed", file.display())]
    ElementType {
        /// The file.
        file: PathBuf,
        /// The type byte.
        got: u8,
    },
    /// IDX with another number of dimensions.
    #[error("{}: {got} dimensions; {expected} are needed", file.display())]
    Rank {
        /// The file.
        file: PathBuf,
        /// Needed.
        expected: usize,
        /// Its own.
        got: usize,
    },
    /// A dimension is zero, or they multiply to more than can be addressed.
    #[error("{}: the dimensions {shape:?} cannot be", file.display())]
    Dimensions {
        /// The file.
        file: PathBuf,
        /// As claimed.
        shape: Vec<usize>,
    },
    /// The header claims more than there is.
    #[error("{}: the header claims {shape:?}, {expected} bytes, and the file holds {got}", file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// As claimed.
        shape: Vec<usize>,
        /// Bytes claimed.
        expected: u64,
        /// Bytes there.
        got: u64,
    },
    /// There is more than the header claims.
    #[error("{}: the header claims {shape:?}, {expected} bytes, and the file goes on behind them", file.display())]
    Trailing {
        /// The file.
        file: PathBuf,
        /// As claimed.
        shape: Vec<usize>,
        /// Bytes claimed.
        expected: u64,
    },
    /// Images and labels that do not belong together.
    #[error("{}: {labels} labels for {images} images", file.display())]
    Labels {
        /// The file of the labels.
        file: PathBuf,
        /// How many images.
        images: usize,
        /// How many labels.
        labels: usize,
    },
    /// A label that is no class.
    #[error("{}: label {got} at {at}; there are {classes} classes, from 0", file.display())]
    LabelRange {
        /// The file of the labels.
        file: PathBuf,
        /// Its position.
        at: usize,
        /// The label.
        got: i64,
        /// Classes are 0 … this − 1.
        classes: usize,
    },
    /// More than anything real holds, in a file of a few bytes.
    #[error("{}: claims {claims} bytes of images, compressed; at most {most} are unpacked", file.display())]
    Unpacked {
        /// The file.
        file: PathBuf,
        /// As claimed.
        claims: u64,
        /// The most.
        most: u64,
    },
    /// An `.npz` is refused.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// Not an image, or a damaged one.
    #[error("{}: {reason}", file.display())]
    BadImage {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An image of a kind that is not taken.
    #[error("{}: the image is {got}; 8-bit grey (L8) or RGB (Rgb8) is needed", file.display())]
    ImageMode {
        /// The file.
        file: PathBuf,
        /// Its kind.
        got: String,
    },
    /// A file or folder whose name cannot be told.
    #[error("{}: its name is not UTF-8", path.display())]
    Name {
        /// The file or folder.
        path: PathBuf,
    },
    /// Nothing that a network can be trained on.
    #[error(
        "{}: not fashion-mnist, not a folder with a sub-folder of images a class, not a folder with \
         train-images-idx3-ubyte and train-labels-idx1-ubyte (or .gz), and not an .npz ({reason})",
        path.display()
    )]
    NotATrainingSet {
        /// As typed.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Another number of classes than the network has.
    #[error("{}: {got} classes{}, and the network has {expected}", path.display(), listed(names))]
    ClassCount {
        /// The data.
        path: PathBuf,
        /// The network's.
        expected: usize,
        /// The data's.
        got: usize,
        /// The data's, by name.
        names: Vec<String>,
    },
    /// A class without images.
    #[error("{}: {}", folder.display(), if *unreadable == 0 {
        "no .png, .jpg or .jpeg in it; a class needs images".to_owned()
    } else {
        format!("none of its {unreadable} images can be read; a class needs images")
    })]
    EmptyClass {
        /// The folder of the class.
        folder: PathBuf,
        /// Its images, none of which can be read.
        unreadable: usize,
    },
    /// Images of another size than the network takes.
    #[error(
        "{}: {}, and the network takes {}; nothing is resized", file.display(), size(*got), size(*expected)
    )]
    ImageSize {
        /// The file.
        file: PathBuf,
        /// `[H, W]` of the network.
        expected: [usize; 2],
        /// `[H, W]` of the image or images.
        got: [usize; 2],
    },
    /// Images of two sizes.
    #[error(
        "{}: {}, and {} is {}; all images are of one size, and nothing is resized",
        file.display(), size(*got), first.display(), size(*expected)
    )]
    MixedSizes {
        /// The odd one.
        file: PathBuf,
        /// `[H, W]` of the odd one.
        got: [usize; 2],
        /// One before it.
        first: PathBuf,
        /// `[H, W]` of the one before, and what the network takes.
        expected: [usize; 2],
    },
    /// Channels that cannot be made into the network's.
    #[error("{}: images of {got} channels, and the network takes {expected}", file.display())]
    Channels {
        /// The file.
        file: PathBuf,
        /// The network's.
        expected: usize,
        /// The images'.
        got: usize,
    },
    /// Colours that a grey network would lose.
    #[error(
        "{}{}: the image has colours, and the network takes grey",
        file.display(), image.map(|at| format!(", image {at}")).unwrap_or_default()
    )]
    Coloured {
        /// The file.
        file: PathBuf,
        /// Its position, in a file of many.
        image: Option<usize>,
    },
    /// More images than a few cannot be read.
    #[error(
        "{}: {unreadable} of {images} images cannot be read, more than 1 %: {}{}", folder.display(),
        first.iter().map(Skipped::to_string).collect::<Vec<_>>().join("; "),
        if *unreadable > first.len() { "; …" } else { "" }
    )]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// How many cannot.
        unreadable: usize,
        /// How many there are.
        images: usize,
        /// The first of them.
        first: Vec<Skipped>,
    },
    /// The system gave no thread.
    #[error("no thread could be started: {0}")]
    Thread(std::io::Error),
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

impl DataError {
    /// Whether the data are at fault, as opposed to the machine.
    pub fn is_bad_input(&self) -> bool {
        match self {
            DataError::Torch(_) | DataError::Thread(_) => false,
            DataError::Array(error) => error.is_bad_input(),
            // A missing, cut or damaged file; a failing disk is not the user's doing.
            DataError::Io { source, .. } => matches!(
                source.kind(),
                std::io::ErrorKind::NotFound
                    | std::io::ErrorKind::PermissionDenied
                    | std::io::ErrorKind::IsADirectory
                    | std::io::ErrorKind::NotADirectory
                    | std::io::ErrorKind::InvalidData
                    | std::io::ErrorKind::InvalidInput
                    | std::io::ErrorKind::UnexpectedEof
            ),
            _ => true,
        }
    }
}

/// Width × height, as image programs say it.
fn size([height, width]: [usize; 2]) -> String {
    format!("{width}×{height}")
}

/// The first names of a list that may be long, in brackets.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.is_empty() { String::new() } else { format!(" ({shown}{more})") }
}
