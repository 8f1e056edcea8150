//! Progress of a bench: a bar over points × rounds with ETA on a terminal, lines in a pipe.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use offramp::bench::Told;

/// Who is told how far a bench is.
pub struct Progress {
    silent: bool,
    bar: Option<ProgressBar>,
    start: Instant,
    last: Instant,
    done: usize,
    left: usize,
}

const BETWEEN_LINES: Duration = Duration::from_secs(5);

impl Progress {
    pub fn new(silent: bool) -> Self {
        let now = Instant::now();
        Self { silent, bar: None, start: now, last: now, done: 0, left: 0 }
    }

    pub fn hear(&mut self, told: &Told) {
        if self.silent {
            return;
        }
        match told {
            Told::Drawing { left, rounds, points } => {
                self.left = *left;
                if std::io::stderr().is_terminal() {
                    let form = "{bar:32} {percent:>3} %  {pos}/{len} rounds of points  ETA {eta}  {wide_msg}";
                    let style =
                        ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
                    self.bar = Some(ProgressBar::new(*left as u64).with_style(style));
                }
                self.line(&format!("{points} points × {rounds} rounds, {left} to be drawn"));
            }
            Told::Drawn { point, images, seconds, .. } => {
                if self.done == 0 {
                    // Peers take their time to start.
                    self.start = Instant::now() - Duration::from_secs_f64(*seconds);
                }
                self.done += 1;
                let rate = *images as f64 / seconds;
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                    bar.set_message(format!("{rate:.1} images/s  {}", point.name()));
                } else if self.last.elapsed() >= BETWEEN_LINES {
                    self.last = Instant::now();
                    let each = self.start.elapsed().as_secs_f64() / self.done as f64;
                    let eta = each * (self.left - self.done.min(self.left)) as f64;
                    let text = format!("{}/{} rounds of points, about {eta:.0} s left", self.done, self.left);
                    self.line(&text);
                }
            }
            Told::Failed { point, reason } => self.line(&format!("{}: {reason}", point.name())),
            Told::Working { what } => {
                if let Some(bar) = &self.bar {
                    bar.set_message((*what).to_owned());
                } else {
                    self.line(what);
                }
            }
            _ => {}
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            // Nobody need listen.
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
