//! Fashion-MNIST: 60,000 + 10,000 grey images of 28×28 in ten classes (Zalando Research, MIT licence).
//!
//! Source: *Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms*,
//! [1708.07747](https://arxiv.org/abs/1708.07747). `make data` fetches it.

use std::path::{Path, PathBuf};

use super::idx_pair::IdxPair;
use super::{DataError, Idx, LabelledImages, labels};
use crate::cache;

/// The classes, by label.
pub const FASHION_CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// Images and labels of the two halves.
const TRAIN: [&str; 2] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
const TEST: [&str; 2] = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// A folder with Fashion-MNIST's four files, as `.gz` or plain.
#[derive(Debug, Clone)]
pub struct FashionMnist {
    folder: PathBuf,
}

impl FashionMnist {
    /// The data set in `folder`; without one, in the first of these that holds it: `$OFFRAMP_DATA` (if that
    /// is set, only there), `data/fashion-mnist/`, the cache that `make data` fills
    /// (`~/.cache/offramp/data/fashion-mnist`), `/usr/share/datasets/fashion-mnist` (the Debian package).
    ///
    /// # Errors
    /// It is in none of them; the error names them all.
    pub fn find(folder: Option<&Path>) -> Result<Self, DataError> {
        let given = folder.map(Path::to_owned).or_else(|| cache::environment("OFFRAMP_DATA"));
        let looked_in = given.map_or_else(usual_places, |folder| vec![folder]);
        // The names are told apart here, so that a folder with three of the four is an error about the fourth.
        let holds =
            |folder: &&PathBuf| [TRAIN, TEST].as_flattened().iter().any(|n| present(folder, n).is_some());
        match looked_in.iter().find(holds) {
            Some(folder) => Ok(Self { folder: folder.clone() }),
            None => Err(DataError::Absent { name: "Fashion-MNIST", looked_in }),
        }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The 60,000 training images.
    ///
    /// # Errors
    /// A file is missing, damaged or of another kind.
    pub fn train(&self) -> Result<LabelledImages, DataError> {
        self.read(TRAIN)
    }

    /// The 10,000 test images.
    ///
    /// # Errors
    /// As [`FashionMnist::train`].
    pub fn test(&self) -> Result<LabelledImages, DataError> {
        self.read(TEST)
    }

    /// The training images as a stream, `[N, 28, 28]`.
    ///
    /// # Errors
    /// As [`Idx::open`].
    pub fn train_images(&self) -> Result<Idx<3>, DataError> {
        Idx::open(&self.train_images_file())
    }

    /// The test images as a stream, `[N, 28, 28]`.
    ///
    /// # Errors
    /// As [`Idx::open`].
    pub fn test_images(&self) -> Result<Idx<3>, DataError> {
        Idx::open(&self.test_images_file())
    }

    /// The file of the training images.
    pub fn train_images_file(&self) -> PathBuf {
        self.file(TRAIN[0])
    }

    /// The file of the test images.
    pub fn test_images_file(&self) -> PathBuf {
        self.file(TEST[0])
    }

    /// The files of the training images and their labels.
    pub(super) fn train_pair(&self) -> IdxPair {
        let [images, labels] = TRAIN.map(|name| self.file(name));
        IdxPair { images, labels }
    }

    /// The files of the test images and their labels.
    pub(super) fn test_pair(&self) -> IdxPair {
        let [images, labels] = TEST.map(|name| self.file(name));
        IdxPair { images, labels }
    }

    fn read(&self, [images, labels]: [&str; 2]) -> Result<LabelledImages, DataError> {
        let images = Idx::<3>::open(&self.file(images))?;
        let file = self.file(labels);
        let labels = Idx::<1>::open(&file)?;
        let shape = images.shape();
        let labels = labels.read_all()?;
        labels::check(&file, shape[0], &labels, FASHION_CLASSES.len())?;
        LabelledImages::grey(shape, &images.read_all()?, &labels)
    }

    /// The file of this name as it is there, or as it ought to be.
    fn file(&self, name: &str) -> PathBuf {
        present(&self.folder, name).unwrap_or_else(|| self.folder.join(format!("{name}.gz")))
    }
}

/// The file of this name, as `.gz` or plain.
pub(super) fn present(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(format!("{name}.gz")), folder.join(name)].into_iter().find(|f| f.is_file())
}

/// As in `scripts/get-fashion-mnist.sh`.
fn usual_places() -> Vec<PathBuf> {
    [
        Some(PathBuf::from("data/fashion-mnist")),
        cache::folder().map(|c| c.join("data/fashion-mnist")),
        Some(PathBuf::from("/usr/share/datasets/fashion-mnist")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, shape: &[u32], values: &[u8]) {
        let mut bytes = vec![0, 0, 8, shape.len() as u8];
        bytes.extend(shape.iter().flat_map(|d| d.to_be_bytes()));
        bytes.extend(values);
        std::fs::write(folder.join(name), bytes).unwrap();
    }

    #[test]
    fn reads_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), TEST[0], &[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        write(folder.path(), TEST[1], &[2], &[9, 0]);
        let data = FashionMnist::find(Some(folder.path())).unwrap();
        let test = data.test().unwrap();
        assert_eq!(test.images.size(), [2, 1, 3, 1]);
        assert_eq!(Vec::<i64>::try_from(&test.labels).unwrap(), [9, 0]);
        assert!(
            matches!(data.train(), Err(DataError::Io { file, .. }) if file.ends_with("train-images-idx3-ubyte.gz"))
        );
    }

    #[test]
    fn refuses_labels_that_do_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), TEST[0], &[2, 1, 1], &[1, 2]);
        write(folder.path(), TEST[1], &[3], &[0, 1, 2]);
        let data = FashionMnist::find(Some(folder.path())).unwrap();
        assert!(matches!(data.test(), Err(DataError::Labels { images: 2, labels: 3, .. })));
        write(folder.path(), TEST[1], &[2], &[0, 10]);
        assert!(matches!(data.test(), Err(DataError::LabelRange { at: 1, got: 10, .. })));
    }

    #[test]
    fn an_empty_folder_says_how_to_fetch_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = FashionMnist::find(Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("make data") && error.contains(folder.path().to_str().unwrap()), "{error}");
    }
}
