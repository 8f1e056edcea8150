//! Progress: a bar with ETA on a terminal, now and then a line in a pipe, JSON lines for machines, nothing
//! when quiet. It goes to stderr; JSON goes to stdout.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Who is told how far a run is.
pub enum Progress {
    /// A terminal.
    Bar(ProgressBar),
    /// A pipe: a line every few seconds.
    Lines {
        /// How many are done.
        done: u64,
        /// How many there are.
        total: u64,
        /// Of what.
        unit: &'static str,
        /// When the run started.
        start: Instant,
        /// When the last line was printed.
        last: Instant,
    },
    /// Nobody.
    Silent,
}

const BETWEEN_LINES: Duration = Duration::from_secs(5);

impl Progress {
    /// Progress over `total` evaluations.
    pub fn new(total: u64, silent: bool) -> Self {
        Self::of(total, "evaluations", silent)
    }

    /// Progress over `total` things of a kind.
    pub fn of(total: u64, unit: &'static str, silent: bool) -> Self {
        if silent {
            return Progress::Silent;
        }
        if !std::io::stderr().is_terminal() {
            let now = Instant::now();
            return Progress::Lines { done: 0, total, unit, start: now, last: now };
        }
        let style = ProgressStyle::with_template("{bar:32} {percent:>3} %  {pos}/{len} {msg}  ETA {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Progress::Bar(ProgressBar::new(total).with_style(style).with_message(unit))
    }

    /// One evaluation of one image is done.
    pub fn tick(&mut self) {
        self.advance(1);
    }

    /// So many more are done.
    pub fn advance(&mut self, by: u64) {
        match self {
            Progress::Bar(bar) => bar.inc(by),
            Progress::Lines { done, total, unit, start, last } => {
                *done += by;
                if last.elapsed() >= BETWEEN_LINES {
                    *last = Instant::now();
                    let left = start.elapsed().as_secs_f64() * (*total - *done) as f64 / *done as f64;
                    // Nobody need listen.
                    let _ = writeln!(std::io::stderr(), "{done}/{total} {unit}, about {left:.0} s left");
                }
            }
            Progress::Silent => {}
        }
    }

    /// The run is over.
    pub fn finish(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
