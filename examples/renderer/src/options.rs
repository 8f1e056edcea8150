//! The command line: five options, parsed by hand.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::failure::Failure;

/// What `--help` prints.
pub const USAGE: &str = "\
Draws a shop window whose clothes come into focus while offramp samples them.

Usage: offramp-renderer [OPTIONS]

  --out DIR        where frames and scene.png go [frames]
  --frames N       frames of sway after each collection, 0 to 65535 [36]
  --seed S         seed of the first garment; the others count on from it [160]
  --exit NAME      an exit schedule in schedules/fashion-dit, or a file [ase-demo]
  --budget-ms M    break the first collection off after M milliseconds, and hang it as it is then
  --help           print this";

/// The options, with their defaults filled in.
#[derive(Debug, PartialEq)]
pub struct Options {
    /// Where frames go.
    pub out: PathBuf,
    /// Frames of sway after each collection.
    pub frames: u16,
    /// Seed of the first garment.
    pub seed: u64,
    /// The exit schedule's name.
    pub exit: String,
    /// Time that the first collection may take, in milliseconds.
    pub budget_ms: Option<u64>,
}

impl Options {
    /// Reads the arguments behind the program's name; `None` when `--help` is among them.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        let mut options =
            Self { out: "frames".into(), frames: 36, seed: 160, exit: "ase-demo".into(), budget_ms: None };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let name = argument.to_string_lossy().into_owned();
            let mut value = || arguments.next().ok_or_else(|| refuse(&name, "its value is missing"));
            match name.as_str() {
                "--help" | "-h" => return Ok(None),
                "--out" => options.out = value()?.into(),
                "--frames" => options.frames = number(&name, value()?)?,
                "--seed" => options.seed = number(&name, value()?)?,
                "--exit" => options.exit = value()?.to_string_lossy().into_owned(),
                "--budget-ms" => options.budget_ms = Some(number(&name, value()?)?),
                _ => return Err(refuse(&name, "unknown option")),
            }
        }
        Ok(Some(options))
    }
}

fn number<N: std::str::FromStr<Err: std::fmt::Display>>(name: &str, value: OsString) -> Result<N, Failure> {
    let text = value.to_string_lossy();
    text.parse().map_err(|e| refuse(&format!("{name} {text}"), &format!("not a number it can take: {e}")))
}

fn refuse(argument: &str, reason: &str) -> Failure {
    Failure::Argument { argument: argument.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, Failure> {
        Options::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_are_read_in_any_order() {
        let options = parse("--seed 3 --budget-ms 90 --out x").ok().flatten().expect("options");
        assert_eq!((options.seed, options.budget_ms, options.out), (3, Some(90), "x".into()));
    }

    #[test]
    fn bad_arguments_are_named_and_end_in_code_2() {
        for (line, named) in [("--seed -1", "--seed -1"), ("--frames", "--frames"), ("--sed 1", "--sed")] {
            let failure = parse(line).expect_err(line);
            assert!(failure.to_string().starts_with(named), "{failure}");
            assert_eq!(failure.exit_code(), 2);
        }
    }
}
