//! Work that is shared out over threads, with one libtorch thread each.

use std::thread;

use super::TrainError;

/// Calls `work` with each input and its index, on `threads` threads; results come in the inputs' order, and do
/// not depend on how many threads there were. libtorch runs each call as its caller's thread setting says.
pub(super) fn in_threads<I: Send, T: Send>(
    threads: usize,
    inputs: Vec<I>,
    work: &(dyn Fn(usize, I) -> Result<T, TrainError> + Sync),
) -> Result<Vec<T>, TrainError> {
    let per_thread = inputs.len().div_ceil(threads.max(1)).max(1);
    let mut inputs = inputs.into_iter().enumerate();
    thread::scope(|scope| {
        let mut handles = vec![];
        loop {
            let part: Vec<(usize, I)> = inputs.by_ref().take(per_thread).collect();
            if part.is_empty() {
                break;
            }
            let run =
                move || part.into_iter().map(|(i, input)| work(i, input)).collect::<Result<Vec<T>, _>>();
            let handle = thread::Builder::new().spawn_scoped(scope, run);
            handles.push(handle.map_err(|e| TrainError::Worker(e.to_string()))?);
        }
        let mut results = vec![];
        for handle in handles {
            results.extend(handle.join().map_err(|_| TrainError::Worker("it panicked".into()))??);
        }
        Ok(results)
    })
}
