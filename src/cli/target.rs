//! Files that are written when the work is done: whether they can be is found out before it begins.

use std::path::{Path, PathBuf};

use offramp::output::{OutputError, check_writable, is_image_name};

/// Checks that a file can be written in the end; the folder of images `out` is itself checked, and made, later.
pub fn check(file: &Path, out: Option<&Path>) -> Result<(), OutputError> {
    let refuse = |kind: std::io::ErrorKind| {
        Err(OutputError::NotWritable { folder: file.to_owned(), source: kind.into() })
    };
    match file.symlink_metadata() {
        Ok(found) if found.is_dir() => return refuse(std::io::ErrorKind::IsADirectory),
        // A device, a pipe or a link would be replaced by the rename, not written to.
        Ok(found) if !found.is_file() => return refuse(std::io::ErrorKind::Unsupported),
        _ => {}
    }
    let Some(name) = file.file_name() else { return refuse(std::io::ErrorKind::IsADirectory) };
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute(file).parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
    if out.is_none_or(|out| folder != absolute(out)) {
        return check_writable(&folder);
    }
    if is_image_name(&name.to_string_lossy()) {
        return refuse(std::io::ErrorKind::AlreadyExists); // it would take an image's place
    }
    Ok(())
}
