//! Arrays into a `.npz`.

use std::io::{Seek, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::CHUNK;
use crate::output::OutputError;

/// Writes arrays into a `.npz`, stored as they are.
pub struct ArrayWriter<'a, W: Write + Seek> {
    file: &'a Path,
    zip: ZipWriter<W>,
}

impl<'a, W: Write + Seek> ArrayWriter<'a, W> {
    /// Into `to`, which errors call `file`.
    pub fn new(file: &'a Path, to: W) -> Self {
        Self { file, zip: ZipWriter::new(to) }
    }

    /// Begins an array; its numbers, little-endian, go to [`ArrayWriter::write`].
    pub fn begin(&mut self, key: &str, descr: &str, shape: &[usize]) -> Result<(), OutputError> {
        // The size is known only at the end; numpy, too, asks for 64-bit sizes for all.
        let options =
            SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        self.zip
            .start_file(format!("{key}.npy"), options)
            .map_err(|e| OutputError::io(self.file)(e.into()))?;
        let sizes: String = shape.iter().map(|n| format!("{n},")).collect();
        let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
        // 10 bytes of magic, version and length stand before it, and a newline ends it.
        text += &" ".repeat((64 - (text.len() + 11) % 64) % 64);
        text.push('\n');
        self.write(b"\x93NUMPY\x01\x00")?;
        self.write(&(text.len() as u16).to_le_bytes())?;
        self.write(text.as_bytes())
    }

    /// More bytes of the array begun last.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.zip.write_all(bytes).map_err(OutputError::io(self.file))
    }

    /// f64 numbers of the array begun last.
    pub fn write_f64(&mut self, values: impl Iterator<Item = f64>) -> Result<(), OutputError> {
        let mut bytes = Vec::with_capacity(8 * CHUNK);
        for value in values {
            bytes.extend_from_slice(&value.to_le_bytes());
            if bytes.len() == 8 * CHUNK {
                self.write(&bytes)?;
                bytes.clear();
            }
        }
        self.write(&bytes)
    }

    /// Ends the archive.
    pub fn finish(self) -> Result<(), OutputError> {
        let mut to = self.zip.finish().map_err(|e| OutputError::io(self.file)(e.into()))?;
        to.flush().map_err(OutputError::io(self.file))
    }
}
