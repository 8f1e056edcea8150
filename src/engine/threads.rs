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
pub(crate) struct ThreadSetting {
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
        tch::set_num_threads(self.own);
        let mut runs = runs();
        runs.0 -= 1;
        if runs.0 == 0 && runs.1 != self.own {
            // Only another thread can set the default and leave this thread's number alone; where none can be
            // had, the default stays this thread's.
            let default = runs.1;
            let set = std::thread::Builder::new().spawn(move || tch::set_num_threads(default));
            let _ = set.map(std::thread::JoinHandle::join);
        }
    }
}
