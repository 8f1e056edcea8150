//! Write beside, then rename.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use super::OutputError;

/// Writes `file` through a hidden sibling that is renamed when complete; on any error the sibling is
/// removed and what stood at `file` stays.
pub fn write_atomically(
    file: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), OutputError>,
) -> Result<(), OutputError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let partial = file.with_file_name(format!(".{name}.part-{}", std::process::id()));
    let attempt = || {
        let mut writer = BufWriter::new(File::create(&partial).map_err(OutputError::io(file))?);
        write(&mut writer)?;
        // A full disk shows here at the latest, before the rename.
        let handle = writer.into_inner().map_err(|e| OutputError::io(file)(e.into_error()))?;
        handle.sync_data().map_err(OutputError::io(file))?;
        fs::rename(&partial, file).map_err(OutputError::io(file))
    };
    let result = attempt();
    if result.is_err() {
        // Best effort: the error that is reported is the first one.
        let _ = fs::remove_file(&partial);
    }
    result
}

/// Writes bytes to `file`, all or nothing.
pub(crate) fn write_bytes(file: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    write_atomically(file, |w| w.write_all(bytes).map_err(OutputError::io(file)))
}

/// Writes a text file, all or nothing.
#[cfg(feature = "train")]
pub(crate) fn write_text(file: &Path, text: &str) -> Result<(), OutputError> {
    write_bytes(file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.txt");
        write_bytes(&file, b"old").unwrap();
        let failed = write_atomically(&file, |w| {
            w.write_all(b"half").unwrap();
            Err(OutputError::Channels { channels: 7 })
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
