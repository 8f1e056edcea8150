//! A training run's folder: `config.json`, `metrics.jsonl`, `checkpoint.safetensors`, and the weights in the
//! end.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{TrainError, loss_svg};
use crate::output::{OutputError, check_writable, write_text};

/// The folder of one run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder for a run with these settings, or opens the one that has been begun with them.
    ///
    /// # Errors
    /// It cannot be written to; it holds a run and `resume` is false; the run there has other settings, or
    /// lost them.
    pub fn open(path: &Path, settings: &Map<String, Value>, resume: bool) -> Result<Self, TrainError> {
        let folder = Self { path: path.to_owned() };
        let file = folder.config();
        if file.exists() {
            if !resume {
                return Err(TrainError::HoldsRun { folder: folder.path });
            }
            compare(&file, settings)?;
            check_writable(path)?;
            return Ok(folder);
        }
        if folder.checkpoint().exists() {
            let reason = "there is a checkpoint beside it, and it is not there".to_owned();
            return Err(TrainError::Damaged { file, reason });
        }
        fs::create_dir_all(path)
            .map_err(|source| OutputError::NotWritable { folder: path.to_owned(), source })?;
        check_writable(path)?;
        let text = format!("{:#}\n", Value::Object(settings.clone()));
        folder.write(&file, &text)?;
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.json")
    }

    /// One JSON object a line, by step.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The latest checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }

    /// The finished weights.
    pub fn model(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// The weights folder that comes out.
    pub fn weights(&self) -> PathBuf {
        self.path.join("weights")
    }

    /// The loss against the step, drawn.
    pub fn loss_plot(&self) -> PathBuf {
        self.path.join("loss.svg")
    }

    /// The sample sheet of a step; its folder is made.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn samples(&self, step: usize) -> Result<PathBuf, TrainError> {
        let folder = self.path.join("samples");
        fs::create_dir_all(&folder)
            .map_err(|source| OutputError::NotWritable { folder: folder.clone(), source })?;
        Ok(folder.join(format!("{step:06}.png")))
    }

    /// Writes a text file, all or nothing.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, file: &Path, text: &str) -> Result<(), TrainError> {
        Ok(write_text(file, text)?)
    }

    /// Adds a line to the metrics.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn log(&self, line: &Value) -> Result<(), TrainError> {
        let file = self.metrics();
        let add = || {
            // In one write, so that a kill leaves whole lines.
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&file)?
                .write_all(format!("{line}\n").as_bytes())
        };
        Ok(add().map_err(|source| OutputError::Io { file: file.clone(), source })?)
    }

    /// Draws `loss.svg` from the metrics.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn plot(&self) -> Result<(), TrainError> {
        let file = self.metrics();
        let text = match fs::read_to_string(&file) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(|source| OutputError::Io { file: file.clone(), source })?,
        };
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.write(&self.loss_plot(), &loss_svg(&lines, &format!("{name}: loss by step")))
    }

    /// Drops the metrics of steps behind `step`, which are to be made again.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn forget_behind(&self, step: usize) -> Result<(), TrainError> {
        let file = self.metrics();
        if !file.exists() {
            return Ok(());
        }
        let text =
            fs::read_to_string(&file).map_err(|source| OutputError::Io { file: file.clone(), source })?;
        // A line that does not parse is one that a full disk cut short.
        let known = |line: &&str| {
            let value = serde_json::from_str::<Value>(line).ok();
            value.and_then(|v| v["step"].as_u64()).is_some_and(|s| s <= step as u64)
        };
        let kept: String = text.lines().filter(known).flat_map(|line| [line, "\n"]).collect();
        self.write(&file, &kept)
    }
}

/// The first setting in which the file differs.
fn compare(file: &Path, settings: &Map<String, Value>) -> Result<(), TrainError> {
    let text =
        fs::read_to_string(file).map_err(|source| OutputError::Io { file: file.to_owned(), source })?;
    let found: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|e| TrainError::Damaged { file: file.to_owned(), reason: e.to_string() })?;
    match first_difference("", &Value::Object(settings.clone()), &Value::Object(found)) {
        Some((setting, expected, got)) => {
            Err(TrainError::OtherSettings { file: file.to_owned(), setting, expected, got })
        }
        None => Ok(()),
    }
}

/// The dotted name of the first setting that differs, and its two values.
fn first_difference(name: &str, expected: &Value, got: &Value) -> Option<(String, String, String)> {
    let (Value::Object(expected), Value::Object(got)) = (expected, got) else {
        return (expected != got).then(|| (name.to_owned(), expected.to_string(), got.to_string()));
    };
    let names: BTreeSet<&String> = expected.keys().chain(got.keys()).collect();
    names.into_iter().find_map(|key| {
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        match (expected.get(key), got.get(key)) {
            (Some(expected), Some(got)) => first_difference(&name, expected, got),
            (expected, got) => {
                let word = |value: Option<&Value>| value.map_or("not set".to_owned(), Value::to_string);
                Some((name, word(expected), word(got)))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(epochs: u64) -> Map<String, Value> {
        Map::from_iter([("recipe".to_owned(), json!({ "epochs": epochs, "seed": 1 }))])
    }

    #[test]
    fn refuses_a_run_that_is_there_and_resumes_only_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        RunFolder::open(&path, &settings(2), true).unwrap();
        RunFolder::open(&path, &settings(2), true).unwrap();
        assert!(matches!(RunFolder::open(&path, &settings(2), false), Err(TrainError::HoldsRun { .. })));
        let other = RunFolder::open(&path, &settings(3), true);
        let Err(TrainError::OtherSettings { setting, expected, got, .. }) = other else {
            panic!("{other:?}")
        };
        assert_eq!([setting, expected, got], ["recipe.epochs", "3", "2"]);

        let run = RunFolder { path };
        fs::write(run.checkpoint(), b"").unwrap();
        fs::remove_file(run.config()).unwrap();
        let lost = RunFolder::open(&run.path, &settings(2), true);
        assert!(matches!(lost, Err(TrainError::Damaged { .. })), "{lost:?}");
    }

    #[test]
    fn metrics_behind_the_checkpoint_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::open(folder.path(), &settings(2), false).unwrap();
        for step in 1..=3 {
            run.log(&json!({ "step": step })).unwrap();
        }
        fs::write(run.metrics(), fs::read_to_string(run.metrics()).unwrap() + "{\"ste").unwrap();
        run.forget_behind(2).unwrap();
        assert_eq!(fs::read_to_string(run.metrics()).unwrap(), "{\"step\":1}\n{\"step\":2}\n");
    }
}
