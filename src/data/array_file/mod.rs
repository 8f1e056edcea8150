//! Arrays in `.npz` files, entry by entry: nothing that a header claims is believed before it is checked.
//!
//! An entry's type and shape are compared with what the caller can use before any of its numbers is read,
//! and memory grows with what really arrives, never ahead of it.

mod error;
mod header;
mod integers;
mod raw;
mod writer;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::read::ZipFile;

pub use self::error::ArrayError;
use self::header::Header;
pub(crate) use self::writer::ArrayWriter;

/// Real statistics and images shrink by a few times when compressed; zeros shrink a thousandfold.
const LARGEST_RATIO: u64 = 200;
/// So few bytes do no harm, and a handful of flat images may shrink to nearly nothing.
const HARMLESS: u64 = 1 << 20;
/// Numbers read at a time.
const CHUNK: usize = 1 << 16;

/// A `.npz` file that is open.
pub(crate) struct ArrayFile {
    file: PathBuf,
    zip: ZipArchive<BufReader<File>>,
}

impl ArrayFile {
    /// Reads the archive's directory.
    pub(crate) fn open(file: &Path) -> Result<Self, ArrayError> {
        let io = |source| ArrayError::Io { file: file.to_owned(), source };
        let handle = File::open(file).map_err(io)?;
        if !handle.metadata().map_err(io)?.is_file() {
            return Err(ArrayError::NotNpz { file: file.to_owned(), reason: "not a file".into() });
        }
        let zip = ZipArchive::new(BufReader::new(handle))
            .map_err(|e| ArrayError::NotNpz { file: file.to_owned(), reason: e.to_string() })?;
        Ok(Self { file: file.to_owned(), zip })
    }

    /// Opens an array, or says which others are there.
    pub(crate) fn array(&mut self, key: &str) -> Result<StoredArray<'_>, ArrayError> {
        if !self.has(key) {
            return Err(ArrayError::Missing {
                file: self.file.clone(),
                key: key.to_owned(),
                has: self.keys(),
            });
        }
        let damaged =
            |reason: String| ArrayError::Damaged { file: self.file.clone(), key: key.to_owned(), reason };
        let mut entry = self.zip.by_name(&format!("{key}.npy")).map_err(|e| damaged(e.to_string()))?;
        let (header, header_bytes) = Header::read(&mut entry).map_err(damaged)?;
        Ok(StoredArray { file: self.file.clone(), key: key.to_owned(), header, header_bytes, entry, read: 0 })
    }

    /// The names of its arrays.
    pub(crate) fn keys(&self) -> Vec<String> {
        let names = self.zip.file_names();
        let mut keys: Vec<_> = names.map(|n| n.strip_suffix(".npy").unwrap_or(n).to_owned()).collect();
        keys.sort();
        keys
    }

    /// Whether an array is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.zip.index_for_name(&format!("{key}.npy")).is_some()
    }
}

/// An array whose header has been read and whose numbers have not.
pub(crate) struct StoredArray<'a> {
    file: PathBuf,
    key: String,
    header: Header,
    header_bytes: u64,
    entry: ZipFile<'a, BufReader<File>>,
    read: usize,
}

impl StoredArray<'_> {
    /// Its shape, once it is known to have `dimensions`, to be no larger than its entry and no bomb.
    pub(crate) fn shape(&self, dimensions: usize, expected: &str) -> Result<&[u64], ArrayError> {
        if self.header.shape.len() != dimensions {
            return Err(self.wrong_shape(expected));
        }
        match self.claims() {
            Some(claims)
                if claims <= HARMLESS.max(self.entry.compressed_size().saturating_mul(LARGEST_RATIO)) =>
            {
                Ok(&self.header.shape)
            }
            claims => Err(self.bomb(claims.unwrap_or(u64::MAX))),
        }
    }

    /// Bytes of data, as the shape has it; none if they cannot be counted.
    fn claims(&self) -> Option<u64> {
        let item = self.header.descr[2..].parse::<u64>().unwrap_or(1);
        self.header.shape.iter().try_fold(item, |bytes, &n| bytes.checked_mul(n))
    }

    fn bomb(&self, claims: u64) -> ArrayError {
        let stored = self.entry.compressed_size();
        ArrayError::Bomb { file: self.file.clone(), key: self.key.clone(), claims, stored }
    }

    /// For a shape that its caller cannot use.
    pub(crate) fn wrong_shape(&self, expected: &str) -> ArrayError {
        ArrayError::Shape {
            file: self.file.clone(),
            key: self.key.clone(),
            expected: expected.to_owned(),
            got: self.header.shape.clone(),
        }
    }

    /// For a value that cannot be.
    pub(crate) fn wrong_value(&self, reason: String) -> ArrayError {
        ArrayError::Value { file: self.file.clone(), key: self.key.clone(), reason }
    }

    /// Refuses an array that is laid out column by column.
    pub(crate) fn check_rows(&self) -> Result<(), ArrayError> {
        match self.header.fortran {
            false => Ok(()),
            true => Err(self.wrong_type("rows one after the other", "stored column by column")),
        }
    }

    fn wrong_type(&self, expected: &str, got: &str) -> ArrayError {
        ArrayError::Type {
            file: self.file.clone(),
            key: self.key.clone(),
            expected: expected.to_owned(),
            got: got.to_owned(),
        }
    }

    /// All numbers of an f64 or f32 array of which [`StoredArray::shape`] was asked.
    pub(crate) fn read_f64(&mut self) -> Result<Vec<f64>, ArrayError> {
        let all = self.header.shape.iter().product::<u64>() as usize;
        let mut values = Vec::new();
        while values.len() < all {
            let wanted = CHUNK.min(all - values.len());
            match self.header.descr.as_str() {
                "<f8" => self.read_chunk(wanted, f64::from_le_bytes, &mut values)?,
                "<f4" => self.read_chunk(wanted, |b| f64::from(f32::from_le_bytes(b)), &mut values)?,
                other => return Err(self.wrong_type("`<f8` or `<f4` (f64 or f32)", &format!("`{other}`"))),
            }
        }
        self.finish()?;
        Ok(values)
    }

    /// The next `wanted` numbers of an f32 array.
    pub(crate) fn read_f32(&mut self, wanted: usize, values: &mut Vec<f32>) -> Result<(), ArrayError> {
        match self.header.descr.as_str() {
            "<f4" => self.read_chunk(wanted, f32::from_le_bytes, values),
            other => Err(self.wrong_type("`<f4` (f32)", &format!("`{other}`"))),
        }
    }

    /// All bytes of a u8 array, of which there may be `most`.
    pub(crate) fn read_bytes(&mut self, most: u64) -> Result<Vec<u8>, ArrayError> {
        if !matches!(self.header.descr.as_str(), "|u1" | "<u1") {
            return Err(self.wrong_type("`|u1` (u8)", &format!("`{}`", self.header.descr)));
        }
        let shape = self.shape(1, "[bytes]")?;
        if shape[0] > most {
            return Err(self.wrong_shape(&format!("at most {most} bytes")));
        }
        let mut bytes = vec![0; shape[0] as usize];
        self.entry.read_exact(&mut bytes).map_err(|e| self.cut_short(&e))?;
        self.finish()?;
        Ok(bytes)
    }

    /// The one number of an i64 or u64 array.
    pub(crate) fn read_count(&mut self) -> Result<u64, ArrayError> {
        if !self.header.shape.iter().all(|&n| n == 1) || self.header.shape.len() > 1 {
            return Err(self.wrong_shape("a single number"));
        }
        if !matches!(self.header.descr.as_str(), "<i8" | "<u8") {
            return Err(self.wrong_type("`<i8` (i64)", &format!("`{}`", self.header.descr)));
        }
        let mut bytes = [0; 8];
        self.entry.read_exact(&mut bytes).map_err(|e| self.cut_short(&e))?;
        self.finish()?;
        u64::try_from(i64::from_le_bytes(bytes)).map_err(|_| self.wrong_value("is negative".into()))
    }

    fn read_chunk<T: Copy + Into<f64>, const BYTES: usize>(
        &mut self,
        wanted: usize,
        decode: impl Fn([u8; BYTES]) -> T,
        values: &mut Vec<T>,
    ) -> Result<(), ArrayError> {
        let mut bytes = vec![0; wanted * BYTES];
        self.entry.read_exact(&mut bytes).map_err(|e| self.cut_short(&e))?;
        let (items, _) = bytes.as_chunks::<BYTES>();
        for (k, &item) in items.iter().enumerate() {
            let value = decode(item);
            if !value.into().is_finite() {
                return Err(ArrayError::NotFinite {
                    file: self.file.clone(),
                    key: self.key.clone(),
                    at: self.read + k,
                    value: value.into(),
                });
            }
            values.push(value);
        }
        self.read += wanted;
        Ok(())
    }

    /// Reads to the end, where the checksum is compared; there must be nothing left.
    pub(crate) fn finish(&mut self) -> Result<(), ArrayError> {
        let mut byte = [0];
        match self.entry.read(&mut byte) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.damaged("it goes on behind its last number".into())),
            Err(e) => Err(self.damaged(e.to_string())),
        }
    }

    fn cut_short(&self, error: &std::io::Error) -> ArrayError {
        self.damaged(match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
            _ => error.to_string(),
        })
    }

    fn damaged(&self, reason: String) -> ArrayError {
        ArrayError::Damaged { file: self.file.clone(), key: self.key.clone(), reason }
    }
}
