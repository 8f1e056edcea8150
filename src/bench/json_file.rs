//! JSON and JSON lines in files, written all or nothing.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::BenchError;
use crate::output::OutputError;

/// Reads a JSON file; none where it is missing.
pub fn read_json<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<Option<T>, BenchError> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(OutputError::io(file)(e).into()),
    };
    let damaged = |e: serde_json::Error| BenchError::Damaged { file: file.into(), reason: e.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Writes a value as JSON for people too, all or nothing.
pub fn write_json(file: &Path, value: &impl Serialize) -> Result<(), BenchError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| BenchError::Damaged { file: file.into(), reason: e.to_string() })?;
    Ok(crate::output::write_bytes(file, (text + "\n").as_bytes())?)
}

/// Writes JSON lines, all or nothing.
pub fn write_lines<'a, T: Serialize + 'a>(
    file: &Path,
    lines: impl Iterator<Item = &'a T>,
) -> Result<(), BenchError> {
    let mut text = String::new();
    for line in lines {
        let line = serde_json::to_string(line)
            .map_err(|e| BenchError::Damaged { file: file.into(), reason: e.to_string() })?;
        text += &line;
        text.push('\n');
    }
    Ok(crate::output::write_bytes(file, text.as_bytes())?)
}

/// Reads JSON lines; none where the file is missing. A last line without its end was cut short, and is dropped.
pub fn read_lines<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<Vec<T>, BenchError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(OutputError::io(file)(e).into()),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let parse = |(i, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|e| BenchError::Damaged { file: file.into(), reason: format!("line {}: {e}", i + 1) })
    };
    whole.lines().enumerate().map(parse).collect()
}
