//! Images that lie one after the other in one file: an `.npz`, an IDX file.
//!
//! What is packed is unpacked once, into an unnamed file, so that any image can be read at any time and
//! damage is found before a network runs.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::check_size;
use crate::data::{ArrayFile as Npz, Idx};
use crate::evaluate::EvaluateError;
use crate::output::Pixels;

/// Bytes unpacked at a time.
const CHUNK: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct ArrayFile {
    path: PathBuf,
    len: usize,
    shape: [usize; 3],
    pixels: Place,
}

/// A file, and where in it the first pixel lies.
type Place = (Mutex<File>, u64);

impl ArrayFile {
    /// Opens an `.npz` or IDX file, by what it starts with.
    pub fn open(path: &Path) -> Result<Self, EvaluateError> {
        let mut magic = [0; 4];
        let mut file = File::open(path).map_err(EvaluateError::io(path))?;
        let read = file.read(&mut magic).map_err(EvaluateError::io(path))?;
        match &magic[..read] {
            [b'P', b'K', ..] => Self::npz(path),
            [0, 0, 8, ..] | [0x1f, 0x8b, ..] => Self::idx(path),
            other => Err(EvaluateError::NotASet {
                path: path.to_owned(),
                reason: format!("it starts with {other:02x?}"),
            }),
        }
    }

    fn npz(path: &Path) -> Result<Self, EvaluateError> {
        let mut npz = Npz::open(path)?;
        let mut array = npz.array("arr_0")?;
        array.check_bytes()?;
        let expected = "[N, H, W], [N, H, W, 1] or [N, H, W, 3]";
        array.shape(array.dimensions().len(), expected)?;
        let shape = match *array.dimensions() {
            [n, h, w] => [n, h, w, 1],
            [n, h, w, c @ (1 | 3)] => [n, h, w, c],
            _ => return Err(array.wrong_shape(expected).into()),
        };
        if shape.contains(&0) {
            return Err(array.wrong_shape("an array without a 0 in its shape").into());
        }
        array.check_rows()?;
        let [len, shape @ ..] = shape.map(|n| n as usize);
        check_size(path, shape)?;
        let pixels = match array.stored_at()? {
            Some(start) => (Mutex::new(File::open(path).map_err(EvaluateError::io(path))?), start),
            None => unpacked(|to| {
                let mut left = len * shape.iter().product::<usize>();
                let mut chunk = vec![0; CHUNK.min(left)];
                while left > 0 {
                    let chunk = &mut chunk[..CHUNK.min(left)];
                    array.next_bytes(chunk)?;
                    to.write_all(chunk).map_err(EvaluateError::temporary)?;
                    left -= chunk.len();
                }
                Ok(array.finish()?)
            })?,
        };
        Ok(Self { path: path.to_owned(), len, shape, pixels })
    }

    fn idx(path: &Path) -> Result<Self, EvaluateError> {
        let mut idx = Idx::<3>::open(path)?;
        let [len, h, w] = idx.shape();
        check_size(path, [h, w, 1])?;
        idx.check_unpacked()?;
        let records = (CHUNK / idx.record()).max(1);
        let pixels = unpacked(|to| {
            while let Some(bytes) = idx.next_records(records)? {
                to.write_all(&bytes).map_err(EvaluateError::temporary)?;
            }
            Ok(())
        })?;
        Ok(Self { path: path.to_owned(), len, shape: [h, w, 1], pixels })
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    pub fn read(&self, range: Range<usize>) -> Result<Vec<Pixels>, EvaluateError> {
        let size: usize = self.shape.iter().product();
        let (file, start) = &self.pixels;
        // A thread that panicked left the file as good as ever: every read seeks first.
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(start + (range.start * size) as u64))
            .map_err(EvaluateError::io(&self.path))?;
        let mut read = |_| {
            let mut data = vec![0; size];
            file.read_exact(&mut data).map_err(EvaluateError::io(&self.path))?;
            Ok(Pixels { shape: self.shape, data })
        };
        range.map(&mut read).collect()
    }
}

/// An unnamed file of what `write` writes.
fn unpacked(
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), EvaluateError>,
) -> Result<Place, EvaluateError> {
    let mut to = BufWriter::new(tempfile::tempfile().map_err(EvaluateError::temporary)?);
    write(&mut to)?;
    let file = to.into_inner().map_err(|e| EvaluateError::temporary(e.into_error()))?;
    Ok((Mutex::new(file), 0))
}
