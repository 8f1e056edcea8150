//! The machine that a run was measured on.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// What a reader must know of the machine to compare its figures with another's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Cores that the run could use.
    pub cores: usize,
    /// Memory, bytes.
    pub memory: u64,
    /// libtorch's version.
    pub libtorch: String,
    /// offramp's version.
    pub offramp: String,
    /// The day of the run, `2026-11-24`.
    pub date: String,
    /// The command that measures it again.
    pub command: String,
}

impl Machine {
    /// This one, now, and this process's command.
    pub fn here() -> Self {
        let after = |text: String, key: &str| {
            let line = text.lines().find(|l| l.starts_with(key))?.split_once(':')?.1.trim().to_owned();
            Some(line)
        };
        let proc = |file: &str| std::fs::read_to_string(format!("/proc/{file}")).ok();
        let memory = proc("meminfo").and_then(|t| after(t, "MemTotal"));
        let memory = memory.and_then(|m| m.split(' ').next()?.parse::<u64>().ok()).map(|kib| kib * 1024);
        let program = PathBuf::from(std::env::args().next().unwrap_or_default());
        // Where the program lies says nothing of the run.
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let words: Vec<String> = std::iter::once(name).chain(std::env::args().skip(1)).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Self {
            cpu: proc("cpuinfo").and_then(|t| after(t, "model name")).unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: memory.unwrap_or_default(),
            libtorch: libtorch_folder().and_then(|f| libtorch_version(&f)).unwrap_or_default(),
            offramp: env!("CARGO_PKG_VERSION").into(),
            date: date(now),
            command: words.join(" "),
        }
    }
}

/// The day of a Unix time in the Gregorian calendar, UTC.
fn date(unix: u64) -> String {
    let mut days = unix / 86_400;
    let leap = |y: u64| (y.is_multiple_of(4) && !y.is_multiple_of(100)) || y.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let months = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= months[month] {
        days -= months[month];
        month += 1;
    }
    format!("{year:04}-{:02}-{:02}", month + 1, days + 1)
}

/// The folder of the libtorch that is loaded, where the kernel says.
fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut files = maps.lines().filter_map(|l| l.split_whitespace().nth(5));
    PathBuf::from(files.find(|f| f.ends_with("libtorch_cpu.so"))?).parent().map(Into::into)
}

/// A libtorch folder's version: its `build-version` file, or pip's `version.py`.
pub fn libtorch_version(lib: &std::path::Path) -> Option<String> {
    let root = lib.parent()?;
    if let Ok(version) = std::fs::read_to_string(root.join("build-version")) {
        return Some(version.trim().to_owned());
    }
    let python = std::fs::read_to_string(root.join("version.py")).ok()?;
    let line = python.lines().find(|l| l.starts_with("__version__"))?;
    Some(line.split(['\'', '"']).nth(1)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_date_does() {
        // `date -u -d @N +%F`
        for (unix, day) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_735_689_599, "2024-12-31"),
            (1_795_521_600, "2026-11-24"),
        ] {
            assert_eq!(date(unix), day, "{unix}");
        }
    }
}
