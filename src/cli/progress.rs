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
        /// Evaluations done.
        done: u64,
        /// Evaluations in all.
        total: u64,
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
        if silent {
            return Progress::Silent;
        }
        if !std::io::stderr().is_terminal() {
            let now = Instant::now();
            return Progress::Lines { done: 0, total, start: now, last: now };
        }
        let style =
            ProgressStyle::with_template("{bar:32} {percent:>3} %  {pos}/{len} evaluations  ETA {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        Progress::Bar(ProgressBar::new(total).with_style(style))
    }

    /// One evaluation of one image is done.
    pub fn tick(&mut self) {
        match self {
            Progress::Bar(bar) => bar.inc(1),
            Progress::Lines { done, total, start, last } => {
                *done += 1;
                if last.elapsed() >= BETWEEN_LINES {
                    *last = Instant::now();
                    let left = start.elapsed().as_secs_f64() * (*total - *done) as f64 / *done as f64;
                    // Nobody need listen.
                    let _ = writeln!(std::io::stderr(), "{done}/{total} evaluations, about {left:.0} s left");
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
