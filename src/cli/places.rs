//! Where weights and schedules are found.
//!
//! `--weights NAME` is a folder, or a name under `weights/` here, or under the `weights/` of the checkout
//! that the program was built in. Schedules for weights `NAME` are in `schedules/NAME/` beside `weights/`.

use std::path::{Path, PathBuf};

use super::failure::Failure;

/// The folder of weights by path or name.
pub fn weights(name: &str) -> Result<PathBuf, Failure> {
    let as_path = PathBuf::from(name);
    if as_path.is_dir() {
        return Ok(as_path);
    }
    let looked_in: Vec<PathBuf> = roots().into_iter().map(|r| r.join("weights")).collect();
    let found = looked_in.iter().map(|w| w.join(name)).find(|w| w.is_dir());
    found.ok_or_else(|| Failure::Weights { name: name.into(), looked_in })
}

/// The folder of the schedules for a weights folder.
pub fn schedules(weights: &Path) -> PathBuf {
    let weights = weights.canonicalize().unwrap_or_else(|_| weights.to_owned());
    let name = weights.file_name().unwrap_or_default();
    let beside = weights.parent().and_then(Path::parent).map(|root| root.join("schedules").join(name));
    let here = Path::new("schedules").join(name);
    match beside {
        Some(beside) if beside.is_dir() || !here.is_dir() => beside,
        _ => here,
    }
}

/// The current folder, then the folders above the program's own file.
pub fn roots() -> Vec<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let above = program.ancestors().skip(1).filter(|a| a.join("weights").is_dir()).map(Path::to_owned);
    std::iter::once(PathBuf::from(".")).chain(above).collect()
}
