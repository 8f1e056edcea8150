//! Tensors by name as a `.safetensors` file, in the dtype that it is to have on disk.

use std::collections::HashMap;
use std::path::Path;

use half::f16;
use safetensors::tensor::{Dtype, TensorView};
use tch::{Kind, Tensor};

use super::OutputError;
use super::atomic::write_bytes;

/// Writes tensors as `kind` (`Kind::Half`, or `Kind::Float`), with `facts` in the header, all or nothing.
///
/// # Errors
/// The file cannot be written; a value is not finite, or not as f16.
pub(crate) fn write_tensors(
    file: &Path,
    kind: Kind,
    tensors: &[(String, Tensor)],
    facts: HashMap<String, String>,
) -> Result<(), OutputError> {
    let bad = |reason: String| OutputError::Array { file: file.to_owned(), reason };
    let dtype = match kind {
        Kind::Half => Dtype::F16,
        Kind::Float => Dtype::F32,
        other => return Err(bad(format!("tensors are not written as {other:?}"))),
    };
    let mut arrays = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
        let flat = tensor.f_detach()?.f_to_kind(Kind::Float)?.f_contiguous()?.f_view(-1)?;
        let values = Vec::<f32>::try_from(flat)?;
        let fits = |v: &f32| if dtype == Dtype::F16 { f16::from_f32(*v).is_finite() } else { v.is_finite() };
        if let Some(at) = values.iter().position(|v| !fits(v)) {
            return Err(bad(format!("tensor {name}: {} at element {at} is beyond {dtype:?}", values[at])));
        }
        let bytes: Vec<u8> = match dtype {
            Dtype::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        arrays.push((name, shape, bytes));
    }
    let views = arrays
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(dtype, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| bad(e.to_string()))?;
    let facts = Some(facts).filter(|facts| !facts.is_empty());
    write_bytes(file, &safetensors::serialize(views, facts).map_err(|e| bad(e.to_string()))?)
}
