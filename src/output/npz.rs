//! NumPy files: images for evaluators, noise from elsewhere.

use std::io::Cursor;
use std::path::Path;

use ndarray::{Array1, Array4, ArrayD, ArrayViewD};
use ndarray_npy::{
    NpzWriter, ReadNpyExt, ReadableElement, ViewElement, ViewNpyError, ViewNpyExt, WriteNpzError,
};
use tch::Tensor;

use super::{OutputError, Pixels, atomic};

/// Writes images as `arr_0`, u8 `[N, H, W, C]`, and their labels as `arr_1`, i64 `[N]` (−1: none): what
/// the common FID tools read.
pub fn write_npz(file: &Path, images: &[Pixels], labels: &[i64]) -> Result<(), OutputError> {
    let array = |reason: String| OutputError::Array { file: file.to_owned(), reason };
    let shape = images.first().map_or([0; 3], |p| p.shape);
    if let Some(odd) = images.iter().find(|p| p.shape != shape) {
        return Err(OutputError::MixedShapes { expected: shape, got: odd.shape });
    }
    let data: Vec<u8> = images.iter().flat_map(|p| p.data.iter().copied()).collect();
    let [h, w, c] = shape;
    let pixels = Array4::from_shape_vec((images.len(), h, w, c), data).map_err(|e| array(e.to_string()))?;
    // Made in memory: over a full disk the archive's writer complains on stderr, and hides the system's reason.
    let archive = || {
        let mut npz = NpzWriter::new_compressed(Cursor::new(vec![]));
        npz.add_array("arr_0", &pixels)?;
        npz.add_array("arr_1", &Array1::from_vec(labels.to_vec()))?;
        npz.finish()
    };
    let archive = archive().map_err(|e: WriteNpzError| array(e.to_string()))?;
    atomic::write_bytes(file, archive.get_ref())
}

/// Reads initial noise, `[n, C, H, W]`, from a `.npy` file; f32 or f64.
pub fn read_noise(file: &Path) -> Result<Tensor, OutputError> {
    let refuse = |reason: String| OutputError::Array { file: file.to_owned(), reason };
    // A view compares what the header promises with what the file holds; reading would first allocate it.
    let bytes = std::fs::read(file).map_err(OutputError::io(file))?;
    let array = match read_as::<f32>(&bytes) {
        Err(ViewNpyError::WrongDescriptor(_)) => read_as::<f64>(&bytes).map(|a| a.mapv(|v| v as f32)),
        other => other,
    };
    let array = array.map_err(|e| refuse(format!("not a .npy file of f32 or f64: {e}")))?;
    if array.iter().any(|v| !v.is_finite()) {
        return Err(refuse("it holds NaN or infinity".into()));
    }
    Ok(Tensor::try_from(array.as_standard_layout().into_owned())?)
}

fn read_as<T: ReadableElement + ViewElement + Clone>(bytes: &[u8]) -> Result<ArrayD<T>, ViewNpyError> {
    match ArrayViewD::<T>::view_npy(bytes) {
        // Found out after the comparison; then it can be read.
        Err(ViewNpyError::MisalignedData) => {
            ArrayD::read_npy(bytes).map_err(|_| ViewNpyError::MisalignedData)
        }
        view => view.map(|v| v.to_owned()),
    }
}
