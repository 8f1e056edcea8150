//! The program that a peer runs as.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PeerError;

const SCRIPT: &str = "scripts/peers/sampler_peer.py";

/// A Python with `scripts/peers/requirements.txt`, the script that it runs, and how long an answer may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The Python.
    pub python: PathBuf,
    /// `sampler_peer.py`.
    pub script: PathBuf,
    /// The longest that one answer may take; compiling a network can take minutes.
    pub timeout: Duration,
}

impl Program {
    /// The script in the checkout that is the current folder, or that this program was built in; the Python
    /// that `OFFRAMP_PYTHON` names, or that of the `.venv` beside it; ten minutes.
    ///
    /// # Errors
    /// There is no such script.
    pub fn find() -> Result<Self, PeerError> {
        let program = std::env::current_exe().unwrap_or_default();
        let roots = || std::iter::once(Path::new(".")).chain(program.ancestors().skip(1));
        let Some(root) = roots().find(|root| root.join(SCRIPT).is_file()) else {
            let looked_in = roots().map(Path::to_owned).collect();
            return Err(PeerError::NoScript { script: SCRIPT, looked_in });
        };
        let python = std::env::var_os("OFFRAMP_PYTHON").filter(|name| !name.is_empty());
        let python = python.map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
        Ok(Self { python, script: root.join(SCRIPT), timeout: Duration::from_secs(600) })
    }
}
