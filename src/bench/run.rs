//! What a bench's folder is of: the plan, its points and rounds, and which of them are drawn here.

use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::plan::Plan;
use super::points::Point;
use super::rounds::rounds_of;
use super::{BenchError, Machine};
use crate::digest::hex;
use crate::evaluate::Shard;
use crate::output::OutputError;

/// The version of the folder's layout.
const VERSION: u32 = 1;

/// `plan.json`: what the folder is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    /// The version of the folder's layout.
    pub version: u32,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// The plan.
    pub plan: Plan,
    /// Its points.
    pub points: Vec<Point>,
    /// The images [first, behind the last] of each round.
    pub rounds: Vec<[usize; 2]>,
    /// Which part of the rounds is drawn here; none is all.
    pub shard: Option<Shard>,
    /// How many shards it was merged from.
    pub merged: Option<usize>,
    /// Where it was started.
    pub machine: Machine,
}

impl RunFile {
    /// A bench that starts now.
    pub fn new(plan: Plan, points: Vec<Point>, rounds: &[Range<usize>], shard: Option<Shard>) -> Self {
        // A struct of strings and numbers always serialises.
        let text = serde_json::to_string(&plan).unwrap_or_default();
        Self {
            version: VERSION,
            plan_sha256: hex(&Sha256::digest(text.as_bytes())),
            plan,
            points,
            rounds: rounds.iter().map(|r| [r.start, r.end]).collect(),
            shard,
            merged: None,
            machine: Machine::here(),
        }
    }

    /// The rounds that are drawn here.
    ///
    /// # Errors
    /// Too many shards.
    pub fn own_rounds(&self) -> Result<Range<usize>, BenchError> {
        self.shard.map_or(Ok(0..self.rounds.len()), |s| rounds_of(s, self.rounds.len()))
    }

    /// The rounds that a point takes part in here: all, or of a peer those that warm up and the plan's number behind
    /// them, on every shard.
    ///
    /// # Errors
    /// Too many shards.
    pub fn rounds_of(&self, point: &Point) -> Result<Vec<usize>, BenchError> {
        let most = match self.plan.peers.as_ref().and_then(|peers| peers.rounds) {
            Some(timed) if point.is_peer() => timed.saturating_add(1),
            _ => return Ok(self.own_rounds()?.collect()),
        };
        let parts = match self.merged {
            Some(of) => (1..=of)
                .filter_map(|index| Shard::new(index, of))
                .map(|shard| rounds_of(shard, self.rounds.len()))
                .collect(),
            None => self.own_rounds().map(|own| vec![own]),
        };
        let parts: Vec<Range<usize>> = parts?;
        Ok(parts.into_iter().flat_map(|part| part.take(most)).collect())
    }

    /// The first thing in which `other`, found in `folder`, is of another run.
    pub fn check_same(&self, other: &RunFile, folder: &Path) -> Result<(), BenchError> {
        let differs = |field: &str, ours: String, theirs: String| {
            Err(BenchError::OtherRun { folder: folder.into(), field: field.into(), ours, theirs })
        };
        let object = |plan: &Plan| match serde_json::to_value(plan) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (ours, theirs) = (object(&self.plan), object(&other.plan));
        let show = |v: Option<&serde_json::Value>| v.map_or("none".into(), ToString::to_string);
        if let Some(field) = ours.keys().chain(theirs.keys()).find(|f| ours.get(*f) != theirs.get(*f)) {
            return differs(field, show(ours.get(field)), show(theirs.get(field)));
        }
        for (a, b) in self.points.iter().zip(&other.points) {
            let (a, b) = (&a.settings, &b.settings);
            if a.weights_sha256 != b.weights_sha256 {
                let field = format!("sha256 of {}", a.weights);
                return differs(&field, a.weights_sha256.clone(), b.weights_sha256.clone());
            }
            if a != b {
                return differs("a point", format!("{a:?}"), format!("{b:?}"));
            }
        }
        if self.points.len() != other.points.len() {
            return differs("points", self.points.len().to_string(), other.points.len().to_string());
        }
        if self.rounds != other.rounds {
            return differs("rounds", format!("{:?}", self.rounds), format!("{:?}", other.rounds));
        }
        Ok(())
    }
}

/// Reads a folder's `plan.json`.
///
/// # Errors
/// Missing, damaged, or of another version.
pub fn read_run(folder: &Path) -> Result<RunFile, BenchError> {
    let file = folder.join("plan.json");
    let bytes = std::fs::read(&file).map_err(OutputError::io(&file))?;
    let damaged = |reason: String| BenchError::Damaged { file: file.clone(), reason };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    match value["version"].as_u64() {
        Some(v) if v == u64::from(VERSION) => {}
        v => return Err(damaged(format!("version {v:?}, and this program reads version {VERSION}"))),
    }
    serde_json::from_value(value).map_err(|e| damaged(e.to_string()))
}
