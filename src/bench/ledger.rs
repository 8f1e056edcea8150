//! The folder of a bench: what it is of, what has been drawn, and how long that took.
//!
//! ```text
//! plan.json               the plan, its points and rounds, the machine
//! rounds.jsonl            one line for each point and round that is done: its time
//! points/ID/0007.npz      what the point drew in round 7
//! points/ID/EXTRACTOR/…   its features, round by round
//! reference/…             features of the real images
//! rows.jsonl              one finished row a line
//! exit_errors.json        how wrong each exit is at each time
//! .lock                   held while a bench is at work here
//! failed.json             of a shard that has come to its end: what it could not draw
//! ```
//!
//! A round counts as drawn once its line is in `rounds.jsonl`, which is written after its images. So a bench
//! may be killed at any moment, and goes on behind its last line.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::drawn::Drawn;
use super::json_file::{read_json, read_lines, write_json, write_lines};
use super::run::{RunFile, read_run};
use super::{BenchError, ExitErrors, PeerFacts, Report, Row};
use crate::output::OutputError;

/// A line of `rounds.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The point's id.
    pub point: String,
    /// The round.
    pub round: usize,
    /// Images drawn.
    pub images: usize,
    /// Seconds that took.
    pub seconds: f64,
    /// Whether the time counts: that of a run's first round does not.
    pub timed: bool,
    /// Peak resident memory, bytes, where the system says.
    pub peak_rss: Option<u64>,
    /// Which start of the program drew it: only times of one process are compared round by round.
    pub session: String,
    /// Of a peer: how it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerFacts>,
}

/// The folder of a bench.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    run: RunFile,
    lines: BTreeMap<(String, usize), Line>,
    rows: BTreeMap<String, Row>,
    file: File,
    /// Held while a bench is at work here; the system lets go of it however the process ends.
    #[expect(dead_code, reason = "it is there to be held")]
    lock: Option<File>,
}

fn lock(folder: &Path) -> Result<File, BenchError> {
    let file = folder.join(".lock");
    let held = File::create(&file).map_err(OutputError::io(&file))?;
    match held.try_lock() {
        Ok(()) => Ok(held),
        Err(TryLockError::WouldBlock) => Err(BenchError::Busy { folder: folder.into() }),
        Err(TryLockError::Error(source)) => Err(OutputError::Io { file, source }.into()),
    }
}

impl Ledger {
    /// Opens a folder to start a run or to go on with it.
    ///
    /// # Errors
    /// It holds another run's results, or is damaged; another process is at work in it; it cannot be written to.
    pub fn open(folder: &Path, run: RunFile) -> Result<Self, BenchError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| OutputError::NotWritable { folder: folder.into(), source })?;
        let lock = lock(folder)?;
        let file = folder.join("plan.json");
        if file.exists() {
            let there = read_run(folder)?;
            run.check_same(&there, folder)?;
            if run.shard != there.shard || there.merged.is_some() {
                let show = |r: &RunFile| match (r.merged, r.shard) {
                    (Some(n), _) => format!("merged from {n}"),
                    (None, shard) => shard.map_or("the whole".into(), |s| s.to_string()),
                };
                return Err(BenchError::OtherRun {
                    folder: folder.into(),
                    field: "shard".into(),
                    ours: show(&run),
                    theirs: show(&there),
                });
            }
            return Ok(Self { lock: Some(lock), ..Self::at(folder, there)? });
        }
        write_json(&file, &run)?;
        Ok(Self { lock: Some(lock), ..Self::at(folder, run)? })
    }

    /// The ledger of a folder whose `plan.json` is there.
    pub(super) fn at(folder: &Path, run: RunFile) -> Result<Self, BenchError> {
        let rounds = folder.join("rounds.jsonl");
        let known = |id: &str| run.points.iter().any(|p| p.id == id);
        let lines: Vec<Line> = read_lines(&rounds)?;
        let lines: BTreeMap<_, _> = lines
            .into_iter()
            .filter(|l| known(&l.point) && l.round < run.rounds.len())
            .map(|l| ((l.point.clone(), l.round), l))
            .collect();
        // A line that a kill cut short goes, or the next would be glued to it.
        write_lines(&rounds, lines.values())?;
        let rows: Vec<Row> = read_lines(&folder.join("rows.jsonl"))?;
        let rows = rows.into_iter().filter(|r| known(&r.id)).map(|r| (r.id.clone(), r)).collect();
        let file = OpenOptions::new().append(true).open(&rounds).map_err(OutputError::io(&rounds))?;
        Ok(Self { folder: folder.into(), run, lines, rows, file, lock: None })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it is of.
    pub fn run(&self) -> &RunFile {
        &self.run
    }

    /// What is known of a point's round, if it was drawn.
    pub fn line(&self, point: &str, round: usize) -> Option<&Line> {
        self.lines.get(&(point.to_owned(), round))
    }

    /// Every line.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.values()
    }

    /// Lines of a point, by round.
    pub fn lines_of<'a>(&'a self, point: &str) -> impl Iterator<Item = &'a Line> + use<'a> {
        let (from, to) = ((point.to_owned(), 0), (point.to_owned(), usize::MAX));
        self.lines.range(from..=to).map(|(_, line)| line)
    }

    /// Whether a point drew each of these rounds.
    pub fn is_drawn(&self, point: &str, rounds: &[usize]) -> bool {
        rounds.iter().all(|&r| self.line(point, r).is_some())
    }

    /// A name for this start of the program.
    pub fn new_session(&self) -> String {
        let here: std::collections::BTreeSet<&str> = self.lines.values().map(|l| &*l.session).collect();
        let shard = self.run.shard.map_or(String::new(), |s| format!("{}:", s.index()));
        (1..).map(|i| format!("{shard}{i}")).find(|s| !here.contains(&**s)).unwrap_or_default()
    }

    /// Keeps what a point drew in a round.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep(&mut self, line: Line, drawn: &Drawn) -> Result<(), BenchError> {
        let file = self.images(&line.point, line.round);
        let folder = self.point(&line.point);
        std::fs::create_dir_all(&folder).map_err(OutputError::io(&folder))?;
        drawn.write(&file)?;
        let text = serde_json::to_string(&line).unwrap_or_default() + "\n";
        let rounds = self.folder.join("rounds.jsonl");
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(OutputError::io(&rounds))?;
        self.lines.insert((line.point.clone(), line.round), line);
        Ok(())
    }

    /// The folder of a point.
    pub fn point(&self, point: &str) -> PathBuf {
        self.folder.join("points").join(point)
    }

    /// The file of what a point drew in a round.
    pub fn images(&self, point: &str, round: usize) -> PathBuf {
        self.point(point).join(format!("{round:04}.npz"))
    }

    /// `[H, W, C]` of the images drawn; all 0 where there are none.
    ///
    /// # Errors
    /// A damaged file.
    pub fn image_shape(&self) -> Result<[usize; 3], BenchError> {
        let Some(line) = self.lines.values().next() else { return Ok([0; 3]) };
        let (_, h, w, c) = self.drawn(&line.point, line.round)?.images.dim();
        Ok([h, w, c])
    }

    /// Reads what a point drew in a round.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn drawn(&self, point: &str, round: usize) -> Result<Drawn, BenchError> {
        Ok(Drawn::read(&self.images(point, round))?)
    }

    /// What the exits' errors are, if they were measured.
    ///
    /// # Errors
    /// A damaged file.
    pub fn exit_errors(&self) -> Result<Option<Vec<ExitErrors>>, BenchError> {
        read_json(&self.folder.join("exit_errors.json"))
    }

    /// Keeps the exits' errors.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep_exit_errors(&self, errors: &[ExitErrors]) -> Result<(), BenchError> {
        write_json(&self.folder.join("exit_errors.json"), &errors)
    }

    /// The points that a shard could not draw, with their reasons; none before it has come to its end.
    ///
    /// # Errors
    /// A damaged file.
    pub fn failed(&self) -> Result<Option<Vec<(String, String)>>, BenchError> {
        read_json(&self.folder.join("failed.json"))
    }

    /// Says that a shard has come to its end, and which points it could not draw.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep_failed(&self, failed: &[(String, String)]) -> Result<(), BenchError> {
        write_json(&self.folder.join("failed.json"), &failed)
    }

    /// Writes the report of all finished rows.
    ///
    /// # Errors
    /// The disk's.
    pub fn report(&self) -> Result<Report, BenchError> {
        let plan = &self.run.plan;
        let left_out = plan.left_out.iter().map(|(baseline, reason)| (baseline.clone(), reason.clone()));
        let mut machine = self.run.machine.clone();
        if let Some(shards) = self.run.merged {
            machine.cpu += &format!(" (times pooled over {shards} shards)");
        }
        let report = Report {
            plan: plan.name.clone(),
            rows: self.rows(),
            machine,
            exit_errors: self.exit_errors()?.unwrap_or_default(),
            left_out: left_out.collect(),
        };
        report.write_run(&self.folder)?;
        report.write(&self.folder)?;
        Ok(report)
    }

    /// A finished row.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.get(id)
    }

    /// All rows, in the plan's order.
    pub fn rows(&self) -> Vec<Row> {
        self.run.points.iter().filter_map(|p| self.rows.get(&p.id).cloned()).collect()
    }

    /// Keeps a finished row.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep_row(&mut self, row: Row) -> Result<(), BenchError> {
        self.rows.insert(row.id.clone(), row);
        write_lines(&self.folder.join("rows.jsonl"), self.rows().iter())
    }
}
