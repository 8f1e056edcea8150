//! `--threads`.

use offramp::MAX_THREADS;

use super::Failure;

/// Refuses a number of threads that no run takes.
pub fn checked(threads: Option<usize>) -> Result<Option<usize>, Failure> {
    match threads {
        Some(n) if !(1..=MAX_THREADS).contains(&n) => {
            Err(Failure::option("--threads", n, format!("it must be 1 to {MAX_THREADS}")))
        }
        _ => Ok(threads),
    }
}
