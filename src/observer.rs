//! What a run tells its caller: one event per image and evaluation, and each finished image.
//!
//! Progress bars, previews, traces, files and cancelling all hang on one [`Observer`], which is called
//! from the caller's own thread, whatever the number of workers. Events of one image come in order; those
//! of different images interleave.

use std::ops::ControlFlow;

use ndarray::Array3;
use tch::Tensor;

use crate::Error;

/// One evaluation of one image.
#[derive(Debug)]
#[non_exhaustive]
pub struct Evaluated {
    /// The image's index k in the request.
    pub image: usize,
    /// The evaluation, from 0.
    pub evaluation: usize,
    /// Evaluations in all.
    pub evaluations: usize,
    /// Its real time.
    pub t: f64,
    /// x_t, f32 `[C, H, W]`.
    pub x: Tensor,
    /// The predicted clean image, f32 `[C, H, W]`.
    pub x0: Tensor,
    /// Blocks run.
    pub depth: usize,
    /// The policy's last uncertainty, where it has one.
    pub uncertainty: Option<f32>,
}

/// A finished image.
#[derive(Debug)]
#[non_exhaustive]
pub struct Sample {
    /// Its index k in the request.
    pub image: usize,
    /// Its seed: the request's + k.
    pub seed: u64,
    /// Its class; `None` is unconditional.
    pub class: Option<i64>,
    /// The image, f32 `[C, H, W]`, in the model's value range.
    pub x: Tensor,
    /// Blocks run at each evaluation.
    pub depths: Vec<usize>,
    /// The policy's last uncertainty at each evaluation, where it has one.
    pub uncertainties: Vec<Option<f32>>,
    /// Block cost run, in full-depth network rows (a guided evaluation at full depth is 2); in verify mode with all
    /// drafts and their verification.
    pub cost: f64,
    /// Block cost at full depth, in the same unit.
    pub full_cost: f64,
    /// Evaluations drafted in verify mode; 0 without it.
    pub drafted: usize,
    /// Drafts that were accepted.
    pub accepted: usize,
    /// Bytes that the tail remembered of it at the end.
    pub tail_bytes: usize,
}

impl Evaluated {
    /// The predicted clean image as an array, `[C, H, W]`.
    pub fn to_array(&self) -> Result<Array3<f32>, Error> {
        to_array(&self.x0)
    }
}

fn to_array(image: &Tensor) -> Result<Array3<f32>, Error> {
    let array: ndarray::ArrayD<f32> = (&image.f_to_device(tch::Device::Cpu)?.f_contiguous()?).try_into()?;
    array.into_dimensionality().map_err(|_| {
        tch::TchError::Shape(format!("an image has 3 dimensions, this one is {:?}", image.size())).into()
    })
}

impl Sample {
    /// The same sample again; its tensor is not copied.
    pub(crate) fn share(&self) -> Sample {
        let (depths, uncertainties) = (self.depths.clone(), self.uncertainties.clone());
        Sample { x: self.x.shallow_clone(), depths, uncertainties, ..*self }
    }

    /// The image as an array, `[C, H, W]`.
    pub fn to_array(&self) -> Result<Array3<f32>, Error> {
        to_array(&self.x)
    }
}

/// What an observer is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// An image went through the network once more.
    Evaluated(Evaluated),
    /// An image is done.
    Finished(Sample),
}

impl Event {
    /// The index of the image it is about.
    pub fn image(&self) -> usize {
        match self {
            Event::Evaluated(e) => e.image,
            Event::Finished(s) => s.image,
        }
    }
}

/// Watches a run; `Break` cancels it.
///
/// After a `Break` every worker stops at its next evaluation; what has finished stays finished. While a run
/// goes on, libtorch calls on the observer's thread use as many cores as one worker does.
pub trait Observer {
    /// Called for every event.
    fn observe(&mut self, event: &Event) -> ControlFlow<()>;
}

/// Watches nothing.
impl Observer for () {
    fn observe(&mut self, _event: &Event) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(&Event) -> ControlFlow<()>> Observer for F {
    fn observe(&mut self, event: &Event) -> ControlFlow<()> {
        self(event)
    }
}
