//! NumPy files: images for evaluators, noise from elsewhere.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use ndarray::{Array1, Array4, ArrayD};
use ndarray_npy::{NpzReader, NpzWriter, ReadNpyError, ReadNpyExt, ReadableElement};
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
    atomic::write_atomically(file, |out| {
        let mut npz = NpzWriter::new_compressed(out);
        npz.add_array("arr_0", &pixels).map_err(|e| array(e.to_string()))?;
        npz.add_array("arr_1", &Array1::from_vec(labels.to_vec())).map_err(|e| array(e.to_string()))?;
        npz.finish().map_err(|e| array(e.to_string()))?;
        Ok(())
    })
}

/// Reads initial noise, `[n, C, H, W]`, from a `.npy` file or the first array of an `.npz`; f32 or f64.
pub fn read_noise(file: &Path) -> Result<Tensor, OutputError> {
    let array: ArrayD<f32> = match read_as::<f32>(file) {
        Err(ReadNpyError::WrongDescriptor(_)) => {
            read_as::<f64>(file).map(|a| a.mapv(|v| v as f32)).map_err(|e| refuse(file, &e))?
        }
        other => other.map_err(|e| refuse(file, &e))?,
    };
    if array.iter().any(|v| !v.is_finite()) {
        return Err(OutputError::Array { file: file.to_owned(), reason: "it holds NaN or infinity".into() });
    }
    let array = array.as_standard_layout().into_owned();
    Ok(Tensor::try_from(array)?)
}

fn read_as<T: ReadableElement>(file: &Path) -> Result<ArrayD<T>, ReadNpyError> {
    let reader = BufReader::new(File::open(file)?);
    if file.extension().is_some_and(|e| e == "npz") {
        let damaged = |e: ndarray_npy::ReadNpzError| match e {
            ndarray_npy::ReadNpzError::Npy(e) => e,
            other => ReadNpyError::Io(std::io::Error::other(other.to_string())),
        };
        return NpzReader::new(reader).and_then(|mut npz| npz.by_index(0)).map_err(damaged);
    }
    ArrayD::read_npy(reader)
}

fn refuse(file: &Path, error: &ReadNpyError) -> OutputError {
    OutputError::Array { file: file.to_owned(), reason: format!("not readable as f32 or f64 noise: {error}") }
}
