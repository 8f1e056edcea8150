//! The report of a run: `results.csv` for spreadsheets, `results.md` and `front.svg` for a README, `report.html`
//! for a person.
//!
//! All are drawn from the rows and from `run.json` alone, so a report can be made again from what a
//! run has left, finished or not. The HTML file is self-contained: plots are inline SVG, nothing is loaded
//! from anywhere, and nothing in it runs.

mod comparison;
mod csv;
mod html;
mod markdown;
mod measure;
mod names;
mod number;
mod peers;
mod run_file;
mod summary;
mod svg;
mod table;
mod words;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::comparison::Comparison;
use super::{ExitErrors, Machine, Row};
use crate::output::{OutputError, write_bytes};

/// All that a report tells.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// The plan's name.
    pub plan: String,
    /// The rows, in the table's order; kept in `rows.jsonl`, never in `run.json`.
    #[serde(skip)]
    pub rows: Vec<Row>,
    /// Where it was measured.
    pub machine: Machine,
    /// Error of every exit at every time, one for each of the weights.
    #[serde(default)]
    pub exit_errors: Vec<ExitErrors>,
    /// Baselines that were left out, each with its reason.
    #[serde(default)]
    pub left_out: Vec<(String, String)>,
}

/// Why a report cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// `run.json` is not what a run leaves.
    #[error("{}: not a run's facts: {reason}", file.display())]
    Run {
        /// The file.
        file: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// A line of `rows.jsonl` is no row.
    #[error("{}:{line}: not a row: {reason}", file.display())]
    Row {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
}

impl ReportError {
    /// Whether the caller named a folder that holds no run, as opposed to a disk that failed.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Output(OutputError::Io { source, .. }) => source.kind() == std::io::ErrorKind::NotFound,
            Self::Output(_) => false,
            Self::Run { .. } | Self::Row { .. } => true,
        }
    }
}

impl Report {
    /// Writes `results.csv`, `results.md`, `summary.md`, `report.html` and, once something is judged, `front.svg` into a folder
    /// that exists; each appears whole or not at all.
    pub fn write(&self, folder: &Path) -> Result<(), ReportError> {
        let file = folder.join("results.csv");
        write_bytes(&file, &csv::csv(&self.rows).map_err(OutputError::io(&file))?)?;
        write_bytes(&folder.join("results.md"), markdown::markdown(self).as_bytes())?;
        write_bytes(&folder.join("summary.md"), self.summary().as_bytes())?;
        write_bytes(&folder.join("report.html"), self.html().as_bytes())?;
        if let Some(front) = self.front_svg() {
            write_bytes(&folder.join("front.svg"), front.as_bytes())?;
        }
        Ok(())
    }

    /// Images a second against quality alone, one self-contained SVG document; none before anything is judged.
    pub fn front_svg(&self) -> Option<String> {
        let comparisons = Comparison::all(&self.rows);
        let leading = words::leading(&comparisons)?;
        Some(svg::standalone_front(leading, &names::names(&self.rows)).into_string())
    }

    /// The table in few columns, as Markdown.
    pub fn summary(&self) -> String {
        summary::summary(self)
    }

    /// The HTML report, one self-contained document.
    pub fn html(&self) -> String {
        html::page(self).into_string()
    }
}
