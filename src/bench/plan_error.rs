//! Why a plan is refused: always the key, its value, and what it must be.

use std::path::PathBuf;

/// Why a plan is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The file could not be read.
    #[error("plan {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not TOML, or a key missing or of the wrong type.
    #[error("plan: {0}")]
    Syntax(#[from] toml::de::Error),
    /// No such key.
    #[error("plan: unknown key {key:?}{}; there are {}",
        nearest.as_ref().map(|n| format!(", did you mean {n:?}?")).unwrap_or_default(), known.join(", "))]
    UnknownKey {
        /// The key, with the tables it stands in.
        key: String,
        /// The key most like it.
        nearest: Option<String>,
        /// The keys of that table.
        known: Vec<String>,
    },
    /// A value that cannot be, alone or beside the others.
    #[error("plan: {key} = {value}: {reason}")]
    Value {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What it must be.
        reason: String,
    },
    /// A mandatory baseline that cannot be worked out, and was not left out.
    #[error(
        "plan: no baseline {baseline}: {reason}; set baselines.{baseline}, or say why not: left-out.{baseline} = \"…\""
    )]
    NoBaseline {
        /// Its key.
        baseline: &'static str,
        /// Why it cannot be derived.
        reason: String,
    },
    /// Two points with the same settings.
    #[error("plan: {what} twice: equal settings are the same point")]
    Duplicate {
        /// The settings that are there twice.
        what: String,
    },
    /// A point that its model refuses.
    #[error("plan: {what}: {source}")]
    Point {
        /// The point.
        what: String,
        /// The model's reason.
        source: Box<crate::Error>,
    },
}

impl PlanError {
    /// A key's value and why it cannot be.
    pub fn value(key: impl Into<String>, value: impl std::fmt::Display, reason: impl Into<String>) -> Self {
        PlanError::Value { key: key.into(), value: value.to_string(), reason: reason.into() }
    }
}
