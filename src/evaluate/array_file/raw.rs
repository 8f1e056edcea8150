//! Arrays of bytes, left where they are or unpacked without being held in memory.

use std::io::{Read, Write};

use zip::CompressionMethod;

use super::{ArrayError, CHUNK, StoredArray};
use crate::evaluate::EvaluateError;

/// The most that a compressed array of images is unpacked to. One that is stored as it is may be of any size.
pub const MOST_UNPACKED: u64 = 4 << 30;

impl StoredArray<'_> {
    /// Its shape as claimed.
    pub fn dimensions(&self) -> &[u64] {
        &self.header.shape
    }

    /// Refuses an array of another type than u8.
    pub fn check_bytes(&self) -> Result<(), ArrayError> {
        match self.header.descr.as_str() {
            "|u1" | "<u1" | ">u1" => Ok(()),
            other => Err(self.wrong_type("`|u1` (u8)", &format!("`{other}`"))),
        }
    }

    /// Where in the file the bytes of a u8 array lie; none if they are compressed.
    ///
    /// # Errors
    /// The array, its entry and the file do not agree on how many there are; compressed, it claims more than 4 GiB.
    pub fn stored_at(&self) -> Result<Option<u64>, ArrayError> {
        let claims = self.claims().unwrap_or(u64::MAX);
        let (size, packed) = (self.entry.size(), self.entry.compressed_size());
        let stored = self.entry.compression() == CompressionMethod::Stored;
        if !stored && claims.max(size) > MOST_UNPACKED {
            return Err(self.bomb(claims.max(size)));
        }
        if claims.checked_add(self.header_bytes) != Some(size) || (stored && size != packed) {
            let held = size.saturating_sub(self.header_bytes);
            return Err(self.damaged(format!(
                "it claims the shape {:?}, {claims} bytes, and its entry has {held}",
                self.header.shape
            )));
        }
        let start = self.entry.data_start() + self.header_bytes;
        let file_bytes = std::fs::metadata(&self.file)
            .map_err(|source| ArrayError::Io { file: self.file.clone(), source })?
            .len();
        match start.checked_add(packed - self.header_bytes.min(packed)) {
            Some(end) if !stored || end <= file_bytes => Ok(stored.then_some(start)),
            _ => Err(self.damaged("it is cut short".into())),
        }
    }

    /// Unpacks the bytes of a u8 array of which [`StoredArray::stored_at`] was asked.
    pub fn copy_to(mut self, to: &mut impl Write) -> Result<(), EvaluateError> {
        let mut left = self.claims().unwrap_or(u64::MAX);
        let mut chunk = vec![0; CHUNK];
        while left > 0 {
            let wanted = left.min(chunk.len() as u64) as usize;
            self.entry.read_exact(&mut chunk[..wanted]).map_err(|e| self.cut_short(&e))?;
            to.write_all(&chunk[..wanted]).map_err(EvaluateError::temporary)?;
            left -= wanted as u64;
        }
        Ok(self.finish()?)
    }
}
