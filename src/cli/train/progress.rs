//! How far training is: a bar on a terminal, now and then a line in a pipe, nothing when silent.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Who is told.
pub enum Progress {
    /// A terminal.
    Bar(ProgressBar),
    /// A pipe.
    Lines {
        /// Steps that an earlier session made.
        before: usize,
        start: Instant,
        last: Instant,
    },
    /// Nobody.
    Silent,
}

impl Progress {
    /// Progress from step `before` to step `steps`.
    pub fn new(before: usize, steps: usize, silent: bool) -> Self {
        if silent {
            return Progress::Silent;
        }
        if !std::io::stderr().is_terminal() {
            let now = Instant::now();
            return Progress::Lines { before, start: now, last: now };
        }
        let style =
            ProgressStyle::with_template("{bar:32} {percent:>3} %  step {pos}/{len}  {msg}  ETA {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(steps as u64).with_style(style);
        bar.set_position(before as u64);
        bar.reset_eta();
        Progress::Bar(bar)
    }

    /// A step is made: `now` says what it was like, `milestone` what is worth a line of its own.
    pub fn step(&mut self, step: usize, steps: usize, now: &str, milestone: Option<&str>) {
        match self {
            Progress::Bar(bar) => {
                bar.set_position(step as u64);
                bar.set_message(now.to_owned());
                if let Some(milestone) = milestone {
                    bar.println(format!("step {step}, {milestone}"));
                }
            }
            Progress::Lines { before, start, last } => {
                if milestone.is_some() || last.elapsed() >= BETWEEN_LINES {
                    *last = Instant::now();
                    let left =
                        start.elapsed().as_secs_f64() * (steps - step) as f64 / (step - *before) as f64;
                    let milestone = milestone.map(|m| format!(", {m}")).unwrap_or_default();
                    // Nobody need listen.
                    let _ = writeln!(
                        std::io::stderr(),
                        "step {step}/{steps}, {now}{milestone}, about {left:.0} s left"
                    );
                }
            }
            Progress::Silent => {}
        }
    }

    /// The run is over, or stops.
    pub fn finish(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
