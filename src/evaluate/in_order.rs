//! Many jobs on one-thread workers, whose results come in the order of the jobs.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::EvaluateError;
use crate::engine::ThreadSetting;

/// Gives job j to worker j mod W, which is no more than a few jobs ahead of `sink`; `sink` is called here, job by job,
/// and ends the run by an error. Workers run without gradients, each with one libtorch thread.
///
/// # Errors
/// The first that a job or `sink` gives; the system has no thread.
pub(crate) fn in_order<W: Send, R: Send>(
    workers: Vec<W>,
    jobs: usize,
    work: &(dyn Fn(&W, usize) -> Result<R, EvaluateError> + Sync),
    sink: &mut dyn FnMut(usize, R) -> Result<(), EvaluateError>,
) -> Result<(), EvaluateError> {
    let count = workers.len();
    // This thread only waits and sorts.
    let _restored_on_return = ThreadSetting::set(1);
    thread::scope(|scope| {
        let mut lanes: Vec<Receiver<Result<R, EvaluateError>>> = vec![];
        let mut running = vec![];
        for (first, worker) in workers.into_iter().enumerate() {
            let (sender, receiver) = sync_channel(2);
            let run = move || {
                let _no_grad = tch::no_grad_guard();
                tch::set_num_threads(1);
                for job in (first..jobs).step_by(count) {
                    let result = work(&worker, job);
                    let failed = result.is_err();
                    // Nobody listens any more once the run has ended early.
                    if sender.send(result).is_err() || failed {
                        return;
                    }
                }
            };
            running.push(thread::Builder::new().spawn_scoped(scope, run).map_err(EvaluateError::Thread)?);
            lanes.push(receiver);
        }
        for job in 0..jobs {
            // Closed without a word only by a panic.
            let Ok(result) = lanes[job % count].recv() else { break };
            sink(job, result?)?;
        }
        drop(lanes);
        for worker in running {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
        Ok(())
    })
}
