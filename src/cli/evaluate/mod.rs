//! `offramp evaluate`: how far a set of images is from another, and whether a third is nearer.

mod args;
mod measure;
mod paired;
mod prepare;
mod report;
mod table;

pub use args::Args;

use offramp::output::write_atomically;

use self::prepare::Evaluation;
use super::Failure;
use super::interrupt::Interrupt;
use super::stdout::say;

pub fn run(args: Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen();
    let (out, json, quiet) = (args.out.clone(), args.json, args.quiet);
    let report = Evaluation::prepare(args)?.run(&interrupt)?;
    if let Some(file) = out {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
        write_atomically(&file, |to| {
            use std::io::Write;
            to.write_all(text.as_bytes())
                .map_err(|source| offramp::output::OutputError::Io { file: file.clone(), source })
        })?;
    }
    match json {
        true => say!("{}", serde_json::to_string(&report).unwrap_or_default()),
        false => table::print(&report, quiet),
    }
}
