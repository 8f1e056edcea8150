//! libtorch's number of threads, given back when the last run of the process is over.
//!
//! libtorch keeps a number for each thread and a default for threads that have none yet; setting the one
//! sets the other. Runs may overlap, so the first one in notes what it found and the last one out restores
//! it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Runs under way, and the number of threads before the first of them.
static RUNS: Mutex<(usize, i32)> = Mutex::new((0, 1));

fn runs() -> MutexGuard<'static, (usize, i32)> {
    RUNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds a thread setting for as long as it lives.
pub(super) struct ThreadSetting {
    own: i32,
}

impl ThreadSetting {
    /// Sets this thread's number.
    pub fn set(threads: usize) -> Self {
        let own = tch::get_num_threads();
        let mut runs = runs();
        if runs.0 == 0 {
            runs.1 = own;
        }
        runs.0 += 1;
        tch::set_num_threads(threads as i32);
        Self { own }
    }
}

impl Drop for ThreadSetting {
    fn drop(&mut self) {
        let mut runs = runs();
        runs.0 -= 1;
        // While another run goes on, the default is still its; this thread's own number is given back.
        tch::set_num_threads(if runs.0 == 0 { runs.1 } else { self.own });
    }
}
