//! Arrays of bytes, left where they are or read piece by piece.

use std::io::Read;

use zip::CompressionMethod;

use super::{ArrayError, StoredArray};
use crate::data::MOST_UNPACKED;

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

    /// The next bytes of a u8 array of which [`StoredArray::stored_at`] was asked; behind the last ones,
    /// [`StoredArray::finish`] compares the checksum.
    pub fn next_bytes(&mut self, into: &mut [u8]) -> Result<(), ArrayError> {
        self.entry.read_exact(into).map_err(|e| self.cut_short(&e))
    }
}
