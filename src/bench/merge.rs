//! Many shards' folders become one, as if one machine had drawn everything.
//!
//! A shard is some of the rounds, and all that is known of a round (images, features, depth, time) is in files of
//! its own: merging is copying them, and the rows are then worked out by the same code from the same bytes. Times
//! are pooled: a round is only ever compared with the same round of the same shard.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::BenchError;
use super::json_file::{write_json, write_lines};
use super::ledger::{Ledger, Line};
use super::run::{RunFile, read_run};
use crate::output::OutputError;

/// Merges the folders of all shards of a plan into `out`; also gives the points that a shard could not draw, with
/// their reasons.
///
/// # Errors
/// They are of different plans; a shard is missing, twice there, or unfinished; `out` holds something else.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<(Ledger, Vec<(String, String)>), BenchError> {
    let refuse = |folder: &Path, reason: String| Err(BenchError::Merge { folder: folder.into(), reason });
    let mut shards: BTreeMap<usize, (&Path, RunFile)> = BTreeMap::new();
    for folder in folders {
        let run = read_run(folder)?;
        let Some(shard) = run.shard else { return refuse(folder, "it is no shard".into()) };
        if let Some((_, (other, first))) = shards.first_key_value() {
            first.check_same(&run, folder)?;
            if first.shard.is_some_and(|s| s.of() != shard.of()) {
                return refuse(folder, format!("shard {shard}, and {} is another cut", other.display()));
            }
        }
        if let Some((other, _)) = shards.insert(shard.index(), (folder, run)) {
            return refuse(folder, format!("shard {shard} is in {} too", other.display()));
        }
    }
    let Some((_, (first, run))) = shards.first_key_value() else {
        return refuse(out, "no folders to merge".into());
    };
    let of = run.shard.map_or(1, |s| s.of());
    if let Some(missing) = (1..=of).find(|i| !shards.contains_key(i)) {
        return refuse(first, format!("shard {missing}/{of} is missing"));
    }
    let merged = RunFile { shard: None, merged: Some(of), ..run.clone() };
    if out.join("plan.json").exists() {
        let there = read_run(out)?;
        merged.check_same(&there, out)?;
        if there.merged.is_none() {
            return refuse(out, "it holds a run that was not merged; choose another --out".into());
        }
    }

    fs::create_dir_all(out).map_err(OutputError::io(out))?;
    let mut lines: Vec<Line> = vec![];
    let mut failed: Vec<(String, String)> = vec![];
    for (folder, run) in shards.values() {
        let shard = Ledger::at(folder, run.clone())?;
        let Some(some) = shard.failed()? else {
            return refuse(folder, "the shard has not come to its end; start it again".into());
        };
        failed.extend(some);
        lines.extend(shard.lines().cloned());
        for part in ["points", "reference"] {
            copy(&folder.join(part), &out.join(part))?;
        }
        if let Some(errors) = shard.exit_errors()? {
            write_json(&out.join("exit_errors.json"), &errors)?;
        }
    }
    write_lines(&out.join("rounds.jsonl"), lines.iter())?;
    write_json(&out.join("plan.json"), &merged)?;
    Ok((Ledger::at(out, merged)?, failed))
}

/// Copies a folder with all that is in it, by a link where the file system has them; nothing where it is missing.
fn copy(from: &Path, to: &Path) -> Result<(), BenchError> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(OutputError::io(from)(e).into()),
    };
    fs::create_dir_all(to).map_err(OutputError::io(to))?;
    for entry in entries {
        let entry = entry.map_err(OutputError::io(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else if !target.exists() && fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target).map_err(OutputError::io(&target))?;
        }
    }
    Ok(())
}
