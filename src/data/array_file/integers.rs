//! Arrays of whole numbers: labels.

use std::io::Read;

use super::{ArrayError, CHUNK, StoredArray};

impl StoredArray<'_> {
    /// All numbers of an array `[N]` of integers, of any width and sign, little-endian.
    ///
    /// # Errors
    /// Another type or shape; an entry that holds more or less than it claims; a number beyond an i64.
    pub fn read_integers(&mut self) -> Result<Vec<i64>, ArrayError> {
        let all = self.shape(1, "[N]")?[0] as usize;
        match self.header.descr.as_str() {
            "|i1" | "<i1" => self.read_all(all, |b| i64::from(i8::from_le_bytes(b))),
            "|u1" | "<u1" => self.read_all(all, |b| i64::from(u8::from_le_bytes(b))),
            "<i2" => self.read_all(all, |b| i64::from(i16::from_le_bytes(b))),
            "<u2" => self.read_all(all, |b| i64::from(u16::from_le_bytes(b))),
            "<i4" => self.read_all(all, |b| i64::from(i32::from_le_bytes(b))),
            "<u4" => self.read_all(all, |b| i64::from(u32::from_le_bytes(b))),
            "<i8" => self.read_all(all, i64::from_le_bytes),
            "<u8" => {
                let values: Vec<u64> = self.read_all(all, u64::from_le_bytes)?;
                let fits = |(at, v): (usize, u64)| {
                    i64::try_from(v).map_err(|_| self.wrong_value(format!("element {at} is {v}")))
                };
                values.into_iter().enumerate().map(fits).collect()
            }
            other => Err(self.wrong_type("integers, as `<i8` (i64) or `|u1` (u8)", &format!("`{other}`"))),
        }
    }

    fn read_all<T, const BYTES: usize>(
        &mut self,
        all: usize,
        decode: impl Fn([u8; BYTES]) -> T,
    ) -> Result<Vec<T>, ArrayError> {
        let mut values = vec![];
        let mut bytes = vec![0; CHUNK.min(all) * BYTES];
        while values.len() < all {
            let chunk = &mut bytes[..CHUNK.min(all - values.len()) * BYTES];
            self.entry.read_exact(chunk).map_err(|e| self.cut_short(&e))?;
            values.extend(chunk.as_chunks::<BYTES>().0.iter().map(|&item| decode(item)));
        }
        self.finish()?;
        Ok(values)
    }
}
