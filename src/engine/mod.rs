//! Many images: micro-batches handed to workers, one libtorch thread each.
//!
//! Micro-batch m is the images [m·B, (m+1)·B) by index, whoever runs it, so the same settings give the
//! same bytes. Workers share nothing but a counter and a stop flag; their events reach the caller's thread
//! through one channel, where the one observer lives.

mod threads;

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use tch::Device;

pub(crate) use self::threads::ThreadSetting;
use crate::error::Error;
use crate::observer::{Event, Observer};

/// The most threads that a sampler takes: more than any machine has cores only stall.
pub const MAX_THREADS: usize = 1024;

/// How a request is spread over the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchLayout {
    /// Images per micro-batch.
    pub batch: usize,
    /// CPU threads in all.
    pub threads: usize,
    /// Workers, each with micro-batches of its own.
    pub workers: usize,
    /// libtorch threads in each.
    pub intra_op: usize,
}

/// The micro-batch that keeps a core busy while images still come often; on the bundled model larger ones
/// draw at most 5 % more images a second (`cargo bench --bench batch_size`).
const LARGEST_DEFAULT_BATCH: usize = 16;

/// Below so many numbers in a micro-batch's hidden state, a second libtorch thread gains little, and loses much
/// when its core is taken: OpenMP's threads wait for each other by spinning.
const LARGE_STATE: usize = 1 << 18;

/// A CUDA device takes its work in one stream: one worker, and batches that fill it.
const DEFAULT_CUDA_BATCH: usize = 64;

impl BatchLayout {
    /// Spreads `images`, whose hidden states hold `state_size` numbers, over `threads` cores or a CUDA device;
    /// `batch` overrides the micro-batch's size.
    pub(crate) fn new(
        images: usize,
        batch: Option<usize>,
        threads: usize,
        device: Device,
        state_size: usize,
    ) -> Self {
        let spread = match device {
            Device::Cpu => images.div_ceil(threads).clamp(1, LARGEST_DEFAULT_BATCH),
            _ => images.clamp(1, DEFAULT_CUDA_BATCH),
        };
        let batch = batch.unwrap_or(spread).max(1);
        let workers = match device {
            Device::Cpu => threads.min(images.div_ceil(batch)).max(1),
            _ => 1,
        };
        let large = state_size.saturating_mul(batch.min(images)) >= LARGE_STATE;
        let intra_op = if large { (threads / workers).max(1) } else { 1 };
        Self { batch, threads, workers, intra_op }
    }

    /// The images of micro-batch `m`.
    pub(crate) fn images(&self, m: usize, count: usize) -> Range<usize> {
        (m * self.batch).min(count)..((m + 1) * self.batch).min(count)
    }
}

/// What a worker says through the channel.
enum Message {
    Event(Event),
    Failed(Error),
}

/// Hears a worker's events; false once the run has been cancelled.
pub(crate) type Tell<'a> = dyn FnMut(Event) -> bool + 'a;

/// Raises the stop flag when a thread panics, so that the others do not run on to their ends.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Runs the micro-batches `jobs` on `workers`, one thread each, until all have ended or the observer breaks
/// off.
///
/// `work(worker, images, tell)` runs one micro-batch.
pub(crate) fn run<W: Send>(
    layout: BatchLayout,
    jobs: &[Range<usize>],
    workers: Vec<W>,
    work: impl Fn(&W, Range<usize>, &mut Tell) -> Result<(), Error> + Sync,
    observer: &mut dyn Observer,
) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    // A small buffer: workers need not wait for a file to be written, nor run far ahead of it.
    let (sender, receiver) = sync_channel(64);
    // The caller's thread takes no more cores than a worker, or an observer's tensor work would stall all.
    let _restored_on_return = ThreadSetting::set(layout.intra_op);
    let mut failure = None;
    thread::scope(|scope| {
        let _observer_panics = StopOnPanic(&stop);
        let mut running = vec![];
        for worker in workers {
            let (sender, next, stop, work) = (sender.clone(), &next, &stop, &work);
            let drawn = move || {
                let _policy_panics = StopOnPanic(stop);
                let _no_grad = tch::no_grad_guard();
                tch::set_num_threads(layout.intra_op as i32);
                while !stop.load(Ordering::Relaxed) {
                    let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    let mut tell = |event| tell(&sender, stop, event);
                    if let Err(error) = work(&worker, job.clone(), &mut tell) {
                        stop.store(true, Ordering::Relaxed);
                        // Nobody is left to be told when the observer has panicked.
                        let _ = sender.send(Message::Failed(error));
                        return;
                    }
                }
            };
            match thread::Builder::new().spawn_scoped(scope, drawn) {
                Ok(handle) => running.push(handle),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    failure = Some(Error::Thread(error));
                    break;
                }
            }
        }
        drop(sender);
        for message in receiver {
            match message {
                Message::Failed(error) => failure = failure.take().or(Some(error)),
                Message::Event(event) if !stop.load(Ordering::Relaxed) => {
                    if let ControlFlow::Break(()) = observer.observe(&event) {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                // Nothing finished is lost: an image that was done before the break is still handed over.
                Message::Event(event @ Event::Finished(_)) => {
                    let _ = observer.observe(&event);
                }
                Message::Event(_) => {}
            }
        }
        for handle in running {
            // A policy's own panic goes on in the caller, with its own words.
            if let Err(panic) = handle.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    failure.map_or(Ok(()), Err)
}

/// Sends an event; false once the run has been stopped. A finished image goes through even then.
fn tell(sender: &SyncSender<Message>, stop: &AtomicBool, event: Event) -> bool {
    let finished = matches!(event, Event::Finished(_));
    if stop.load(Ordering::Relaxed) && !finished {
        return false;
    }
    sender.send(Message::Event(event)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_core_gets_work_and_no_batch_is_empty() {
        for (images, batch, threads, state_size, expected) in [
            (1, None, 2, 10_000, [1, 1, 1]),
            (1, None, 2, 300_000, [1, 1, 2]),
            (10, None, 2, 10_000, [5, 2, 1]),
            (1000, None, 2, 10_000, [16, 2, 1]),
            (100, Some(64), 2, 10_000, [64, 2, 1]),
            (64, Some(64), 2, 10_000, [64, 1, 2]),
            (3, Some(1), 8, 300_000, [1, 3, 2]),
            (3, Some(0), 2, 10_000, [1, 2, 1]),
        ] {
            let layout = BatchLayout::new(images, batch, threads, Device::Cpu, state_size);
            let found = [layout.batch, layout.workers, layout.intra_op];
            assert_eq!(found, expected, "{images} images, batch {batch:?}, state {state_size}");
        }
    }

    #[test]
    fn micro_batches_cover_every_image_once() {
        let layout = BatchLayout::new(10, Some(4), 1, Device::Cpu, 1);
        let images: Vec<usize> = (0..3).flat_map(|m| layout.images(m, 10)).collect();
        assert_eq!(images, (0..10).collect::<Vec<_>>());
    }
}
