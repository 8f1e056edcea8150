//! Reading `.safetensors`: nothing is trusted, everything is checked, once.
//!
//! The header is validated by the `safetensors` crate over a memory map of which only the header's pages
//! are touched; the tensors are then streamed, in file order, straight into libtorch's memory. So an f32 file
//! of n bytes costs n bytes, the SHA-256 of the file falls out of the same pass, and a NaN is found before
//! the first image instead of in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, TchError, Tensor};

use crate::digest::hex;

/// One tensor that is not as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorFault {
    /// The tensor's name.
    pub tensor: String,
    /// The expected shape.
    pub expected: Vec<usize>,
    /// The shape in the file.
    pub got: Vec<usize>,
}

/// Why a weight file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It could not be opened or read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It has no bytes, or it is not a file.
    #[error("{}: {what}", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// A pickle, whatever its name: never opened.
    #[error("{}: this is a {what}, not safetensors; offramp never unpickles, convert it first", file.display())]
    Pickle {
        /// The file.
        file: PathBuf,
        /// What its first bytes say.
        what: &'static str,
    },
    /// The header is damaged, lies about sizes, or the file was cut short.
    #[error("{}: not a valid safetensors file: {reason}", file.display())]
    Header {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The tensors are not those that the configuration calls for.
    #[error("{}: the tensors do not match {}", file.display(), mismatch)]
    Mismatch {
        /// The file.
        file: PathBuf,
        /// All that differs.
        mismatch: Box<Mismatch>,
    },
    /// A tensor carries NaN or infinity.
    #[error("{}: tensor {tensor}: {value} at element {at}", file.display())]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// The offending value.
        value: f32,
        /// Its position in the flattened tensor.
        at: usize,
    },
    /// Copies of one tensor that ought to be equal and are not.
    #[error("{}: {tensor} differs from {original}; offramp runs one shared embedder", file.display())]
    CopiesDiffer {
        /// The file.
        file: PathBuf,
        /// The copy.
        tensor: String,
        /// What it should equal.
        original: String,
    },
    /// libtorch refused (out of memory, most often).
    #[error(transparent)]
    Torch(#[from] TchError),
}

/// All differences between a file's tensors and those that its configuration calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What the expectation came from.
    pub expected_by: String,
    /// Expected and not there.
    pub missing: Vec<String>,
    /// There and not expected.
    pub unexpected: Vec<String>,
    /// Of another shape.
    pub shapes: Vec<TensorFault>,
    /// `name: dtype` of those that hold no floating-point numbers.
    pub dtypes: Vec<String>,
}

impl Mismatch {
    fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.unexpected.is_empty()
            && self.shapes.is_empty()
            && self.dtypes.is_empty()
    }
}

/// How many names a list in an error spells out.
const NAMED: usize = 8;

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.expected_by)?;
        let fault = |x: &TensorFault| format!("{} (expected {:?}, got {:?})", x.tensor, x.expected, x.got);
        let shapes: Vec<String> = self.shapes.iter().map(fault).collect();
        for (title, names) in [
            ("missing", &self.missing),
            ("unexpected", &self.unexpected),
            ("wrong shape", &shapes),
            ("wrong dtype", &self.dtypes),
        ] {
            if names.is_empty() {
                continue;
            }
            write!(f, "\n  {} {title}: {}", names.len(), names[..names.len().min(NAMED)].join(", "))?;
            if names.len() > NAMED {
                write!(f, ", … and {} more", names.len() - NAMED)?;
            }
        }
        Ok(())
    }
}

/// A weight file whose header has been checked and whose tensors have not been read yet.
#[derive(Debug)]
pub struct Checkpoint {
    file: PathBuf,
    /// Kept open: the tensors are read from the very file whose header was checked.
    handle: File,
    header_len: u64,
    metadata: Metadata,
}

impl Checkpoint {
    /// Opens a file and validates its header: size, JSON, offsets without gap or overlap, no bytes left.
    pub fn open(file: &Path) -> Result<Self, CheckpointError> {
        let read = |source| CheckpointError::Read { file: file.to_owned(), source };
        let header = |reason: String| CheckpointError::Header { file: file.to_owned(), reason };
        let handle = File::open(file).map_err(read)?;
        let info = handle.metadata().map_err(read)?;
        if !info.is_file() {
            return Err(CheckpointError::Empty { file: file.to_owned(), what: "not a file" });
        }
        if info.len() == 0 {
            return Err(CheckpointError::Empty { file: file.to_owned(), what: "the file is empty" });
        }
        // SAFETY: the map is read only here, for its header, and dropped on return; a file that is
        // truncated by someone else in these microseconds would raise SIGBUS, as with any memory map.
        let map = unsafe { memmap2::Mmap::map(&handle) }.map_err(read)?;
        if let Some(what) = pickle_kind(&map) {
            return Err(CheckpointError::Pickle { file: file.to_owned(), what });
        }
        let (header_len, metadata) =
            safetensors::SafeTensors::read_metadata(&map).map_err(|e| header(e.to_string()))?;
        Ok(Self { file: file.to_owned(), handle, header_len: header_len as u64, metadata })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Name, shape and dtype of every tensor, by name.
    pub fn tensors(&self) -> BTreeMap<String, (Vec<usize>, String)> {
        let tensors = self.metadata.tensors();
        tensors.into_iter().map(|(name, t)| (name, (t.shape.clone(), format!("{:?}", t.dtype)))).collect()
    }

    /// A string that the header carries beside the tensors.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(name).map(String::as_str)
    }

    /// Compares names, shapes and dtypes with what `expected_by` calls for; all differences in one error.
    pub fn expect(
        &self,
        expected: &BTreeMap<String, Vec<usize>>,
        expected_by: &str,
    ) -> Result<(), CheckpointError> {
        let tensors = self.metadata.tensors();
        let absent = |n: &&String| !tensors.contains_key(*n);
        let foreign = |n: &&String| !expected.contains_key(*n);
        let mut mismatch = Mismatch {
            expected_by: expected_by.to_owned(),
            missing: expected.keys().filter(absent).cloned().collect(),
            unexpected: tensors.keys().filter(foreign).cloned().collect(),
            shapes: vec![],
            dtypes: vec![],
        };
        for (name, info) in &tensors {
            if let Some(expected) = expected.get(name)
                && *expected != info.shape
            {
                mismatch.shapes.push(TensorFault {
                    tensor: name.clone(),
                    expected: expected.clone(),
                    got: info.shape.clone(),
                });
            }
            if float_width(info.dtype).is_none() {
                mismatch.dtypes.push(format!("{name}: {:?}", info.dtype));
            }
        }
        if mismatch.is_empty() {
            return Ok(());
        }
        // The header keeps its tensors in no order.
        mismatch.unexpected.sort();
        mismatch.shapes.sort_by(|a, b| a.tensor.cmp(&b.tensor));
        mismatch.dtypes.sort();
        Err(CheckpointError::Mismatch { file: self.file.clone(), mismatch: Box::new(mismatch) })
    }

    /// Reads every tensor as f32 on the CPU, and the SHA-256 of the whole file, in one pass.
    ///
    /// f64, f32, f16 and bf16 are read; call [`Checkpoint::expect`] first, which refuses the others.
    pub fn read(&self) -> Result<(BTreeMap<String, Tensor>, String), CheckpointError> {
        let read = |source| CheckpointError::Read { file: self.file.clone(), source };
        let mut handle = &self.handle;
        handle.rewind().map_err(read)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0u8; CHUNK];
        copy_hashed(handle, self.header_len + 8, &mut buffer, &mut hash).map_err(read)?;

        let mut by_offset: Vec<_> = self.metadata.tensors().into_iter().collect();
        by_offset.sort_by_key(|(_, info)| info.data_offsets);
        let mut tensors = BTreeMap::new();
        for (name, info) in by_offset {
            let Some(width) = float_width(info.dtype) else {
                copy_hashed(
                    handle,
                    (info.data_offsets.1 - info.data_offsets.0) as u64,
                    &mut buffer,
                    &mut hash,
                )
                .map_err(read)?;
                continue;
            };
            let shape: Vec<i64> = info.shape.iter().map(|&n| n as i64).collect();
            let tensor = Tensor::f_zeros(&shape, (Kind::Float, Device::Cpu))?;
            let values: &mut [f32] = match tensor.numel() {
                0 => &mut [], // libtorch gives an empty tensor no memory, not even an address
                // SAFETY: a fresh, contiguous, initialised f32 CPU tensor of `numel` elements, that nothing
                // else refers to while `values` lives.
                numel => unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), numel) },
            };
            for (chunk, part) in values.chunks_mut(CHUNK / width).enumerate() {
                let bytes = &mut buffer[..part.len() * width];
                handle.read_exact(bytes).map_err(read)?;
                hash.update(&*bytes);
                decode(info.dtype, bytes, part);
                // All exponent bits set means NaN or infinity; without an early return this vectorises.
                if part.iter().fold(false, |bad, v| bad | (v.to_bits() & 0x7f80_0000 == 0x7f80_0000)) {
                    let at = part.iter().position(|v| !v.is_finite()).unwrap_or(0);
                    return Err(CheckpointError::NotFinite {
                        file: self.file.clone(),
                        tensor: name,
                        value: part[at],
                        at: chunk * (CHUNK / width) + at,
                    });
                }
            }
            tensors.insert(name, tensor);
        }
        let digest = hash.finalize();
        Ok((tensors, hex(&digest)))
    }
}

/// Bytes read at a time; a multiple of every dtype's width.
const CHUNK: usize = 1 << 20;

fn copy_hashed(mut from: &File, mut len: u64, buffer: &mut [u8], hash: &mut Sha256) -> std::io::Result<()> {
    while len > 0 {
        let n = buffer.len().min(usize::try_from(len).unwrap_or(usize::MAX));
        from.read_exact(&mut buffer[..n])?;
        hash.update(&buffer[..n]);
        len -= n as u64;
    }
    Ok(())
}

/// Bytes per element of the dtypes that can be weights.
fn float_width(dtype: Dtype) -> Option<usize> {
    match dtype {
        Dtype::F64 => Some(8),
        Dtype::F32 => Some(4),
        Dtype::F16 | Dtype::BF16 => Some(2),
        _ => None,
    }
}

fn decode(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::F64 => {
            for (o, b) in out.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *o = f64::from_le_bytes(*b) as f32;
            }
        }
        Dtype::F32 => {
            for (o, b) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *o = f32::from_le_bytes(*b);
            }
        }
        Dtype::F16 => {
            for (o, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *o = half::f16::from_le_bytes(*b).to_f32();
            }
        }
        Dtype::BF16 => {
            for (o, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *o = half::bf16::from_le_bytes(*b).to_f32();
            }
        }
        // float_width has no width for any other dtype, and nothing is decoded without one.
        _ => {}
    }
}

/// What kind of pickle the first bytes announce, if any.
fn pickle_kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'P', b'K', 3, 4, ..] => Some("zip archive (a PyTorch .pt/.pth pickle)"),
        [0x80, 2..=5, ..] if bytes.get(8) != Some(&b'{') => Some("Python pickle"),
        _ => None,
    }
}
