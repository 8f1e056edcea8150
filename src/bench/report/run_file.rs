//! A run's folder: `run.json` and `rows.jsonl`.

use std::fs;
use std::path::Path;

use super::{Report, ReportError};
use crate::bench::Row;
use crate::output::{OutputError, write_bytes};

impl Report {
    /// Reads what a run has left in `folder`. A last line without its end is a row that was being written
    /// when the run was killed: it is passed over. Of rows with equal ids the last one counts, in the place
    /// of the first.
    pub fn read(folder: &Path) -> Result<Self, ReportError> {
        let file = folder.join("run.json");
        let text = fs::read_to_string(&file).map_err(OutputError::io(&file))?;
        let mut report: Self = serde_json::from_str(&text)
            .map_err(|error| ReportError::Run { file: file.clone(), reason: error.to_string() })?;
        report.rows = read_rows(&folder.join("rows.jsonl"))?;
        Ok(report)
    }

    /// Writes `run.json`: all but the rows.
    pub fn write_run(&self, folder: &Path) -> Result<(), ReportError> {
        let file = folder.join("run.json");
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| ReportError::Run { file: file.clone(), reason: error.to_string() })?;
        Ok(write_bytes(&file, text.as_bytes())?)
    }
}

fn read_rows(file: &Path) -> Result<Vec<Row>, ReportError> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.map_err(OutputError::io(file))?,
    };
    let mut rows: Vec<Row> = vec![];
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.trim().is_empty() || !line.ends_with('\n') {
            continue;
        }
        let row: Row = serde_json::from_str(line).map_err(|error| ReportError::Row {
            file: file.to_owned(),
            line: index + 1,
            reason: error.to_string(),
        })?;
        match rows.iter_mut().find(|known| known.id == row.id) {
            Some(known) => *known = row,
            None => rows.push(row),
        }
    }
    Ok(rows)
}
