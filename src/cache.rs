//! The folder in which all clones of the project keep what they fetch.

use std::path::PathBuf;

/// `$OFFRAMP_CACHE`, or `offramp/` in `${XDG_CACHE_HOME:-~/.cache}`, as the scripts have it; none without a home.
pub fn folder() -> Option<PathBuf> {
    environment("OFFRAMP_CACHE")
        .or_else(|| environment("XDG_CACHE_HOME").map(|cache| cache.join("offramp")))
        .or_else(|| environment("HOME").map(|home| home.join(".cache/offramp")))
}

/// The folder that a variable names; an empty one names none.
pub fn environment(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
