//! Many images: micro-batches handed to workers, one libtorch thread each.
//!
//! Micro-batch m is the images [m·B, (m+1)·B) by index, whoever runs it, so the same settings give the
//! same bytes. Workers share nothing but a counter and a stop flag; their events reach the caller's thread
//! through one channel, where the one observer lives.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use crate::error::Error;
use crate::observer::{Event, Observer};

/// How a request is spread over the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Images per micro-batch.
    pub batch: usize,
    /// CPU threads in all.
    pub threads: usize,
    /// Workers.
    pub workers: usize,
    /// libtorch threads in each.
    pub intra_op: usize,
}

/// The micro-batch that keeps a core busy while images still come often; on the bundled model larger ones
/// draw at most 5 % more images a second (`cargo bench --bench batch_size`).
const LARGEST_DEFAULT_BATCH: usize = 16;

impl Layout {
    /// Spreads `images` over `threads` cores; `batch` overrides the micro-batch's size.
    pub fn new(images: usize, batch: Option<usize>, threads: usize) -> Self {
        let batch = batch.unwrap_or_else(|| images.div_ceil(threads).clamp(1, LARGEST_DEFAULT_BATCH));
        let workers = threads.min(images.div_ceil(batch)).max(1);
        Self { batch, threads, workers, intra_op: (threads / workers).max(1) }
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

/// Runs the micro-batches `jobs` on `workers`, each made by a closure and used by one thread.
///
/// `work(worker, images, tell)` runs one micro-batch. Returns whether all ran to their ends; false when
/// the observer broke off.
pub(crate) fn run<W: Send>(
    layout: Layout,
    jobs: &[Range<usize>],
    workers: Vec<W>,
    work: impl Fn(&W, Range<usize>, &mut Tell) -> Result<(), Error> + Sync,
    observer: &mut dyn Observer,
) -> Result<bool, Error> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    // A small buffer: workers need not wait for a file to be written, nor run far ahead of it.
    let (sender, receiver) = sync_channel(64);
    // libtorch keeps a process-wide default beside each thread's own number; the caller gets his back.
    // Meanwhile his thread takes no more cores than a worker, or an observer's tensor work would stall all.
    let threads_before = tch::get_num_threads();
    tch::set_num_threads(layout.intra_op as i32);
    let mut failure = None;
    thread::scope(|scope| {
        for worker in workers {
            let (sender, next, stop, work) = (sender.clone(), &next, &stop, &work);
            scope.spawn(move || {
                let _no_grad = tch::no_grad_guard();
                tch::set_num_threads(layout.intra_op as i32);
                while !stop.load(Ordering::Relaxed) {
                    let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    let mut tell = |event| tell(&sender, stop, event);
                    if let Err(error) = work(&worker, job.clone(), &mut tell) {
                        stop.store(true, Ordering::Relaxed);
                        // The receiver outlives the scope, so this cannot fail.
                        let _ = sender.send(Message::Failed(error));
                        return;
                    }
                }
            });
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
    });
    tch::set_num_threads(threads_before);
    match failure {
        Some(error) => Err(error),
        None => Ok(!stop.load(Ordering::Relaxed)),
    }
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
        for (images, batch, threads, expected) in [
            (1, None, 2, [1, 1, 2]),
            (10, None, 2, [5, 2, 1]),
            (1000, None, 2, [16, 2, 1]),
            (10, Some(64), 2, [64, 1, 2]),
            (3, Some(1), 8, [1, 3, 2]),
        ] {
            let layout = Layout::new(images, batch, threads);
            assert_eq!([layout.batch, layout.workers, layout.intra_op], expected, "{images} images");
        }
    }

    #[test]
    fn micro_batches_cover_every_image_once() {
        let layout = Layout::new(10, Some(4), 1);
        let images: Vec<usize> = (0..3).flat_map(|m| layout.images(m, 10)).collect();
        assert_eq!(images, (0..10).collect::<Vec<_>>());
    }
}
