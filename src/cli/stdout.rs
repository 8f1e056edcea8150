//! Standard output may be a closed pipe or a full disk: that is an error here, where `println!` panics.

use std::fmt::Arguments;
use std::io::Write;

use super::Failure;

/// Writes a line as `println!` would, and gives the system's refusal back.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::stdout::line(format_args!($($text)*))
    };
}
pub(super) use say;

/// Writes one line.
pub fn line(text: Arguments) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes bytes as they are.
pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Failure::Stdout)
}
