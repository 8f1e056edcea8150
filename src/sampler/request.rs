//! What a call to the sampler asks for: which images, and from which start.

use std::collections::BTreeSet;

use tch::{Kind, Tensor};

use crate::backbone::Model;
use crate::error::Error;
use crate::guidance::{Guidance, GuidedChannels};

/// The images to draw.
#[derive(Debug)]
pub struct Request {
    /// The class of each image; `None` is unconditional. Image k is drawn from seed `seed + k`.
    pub classes: Vec<Option<i64>>,
    /// The seed of image 0.
    pub seed: u64,
    /// x_T of every image, f32 `[n, C, H, W]`, in place of noise from the seeds.
    pub initial_noise: Option<Tensor>,
    /// Start from an image instead of pure noise.
    pub init: Option<InitImage>,
    /// Images that need not be drawn again. Their micro-batch is still run whole if another of its images
    /// is wanted, so that the others come out the same.
    pub done: BTreeSet<usize>,
}

/// Image-to-image: the clean image to start from.
#[derive(Debug)]
pub struct InitImage {
    /// f32 `[C, H, W]`, in the model's value range; one for all images.
    pub x0: Tensor,
    /// Share of the steps that is run, in (0, 1]; 1 keeps next to nothing of the image.
    pub strength: f64,
}

impl Request {
    /// One image for each class, from seeds `seed`, `seed + 1`, …
    pub fn classes(classes: impl IntoIterator<Item = i64>, seed: u64) -> Self {
        Self {
            classes: classes.into_iter().map(Some).collect(),
            seed,
            initial_noise: None,
            init: None,
            done: BTreeSet::new(),
        }
    }

    /// `count` images without a class, from seeds `seed`, `seed + 1`, …; for models that have a null class.
    pub fn unconditional(count: usize, seed: u64) -> Self {
        let mut request = Self::classes([], seed);
        request.classes = vec![None; count];
        request
    }

    /// Starts every image from the given noise, f32 `[n, C, H, W]`.
    pub fn with_noise(mut self, noise: Tensor) -> Self {
        self.initial_noise = Some(noise);
        self
    }

    /// Starts every image from a clean image, f32 `[C, H, W]`.
    pub fn with_init(mut self, x0: Tensor, strength: f64) -> Self {
        self.init = Some(InitImage { x0, strength });
        self
    }

    /// How many images.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether none is asked for.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }
}

/// Why a request cannot be met by this model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No images.
    #[error("count 0: at least one image must be asked for")]
    NoImages,
    /// No such class.
    #[error("class {got}: this model has classes 0 to {}", classes - 1)]
    Class {
        /// The class asked for.
        got: i64,
        /// How many there are.
        classes: i64,
    },
    /// An unconditional image of a model that was trained with labels only.
    #[error("{what} needs a null class, and this model has none")]
    NoNullClass {
        /// What asks for it.
        what: &'static str,
    },
    /// A guidance scale that is no number.
    #[error("guidance scale {got}: it must be a finite number of f32")]
    GuidanceScale {
        /// The scale.
        got: f64,
    },
    /// A guidance interval that is none.
    #[error("guidance interval [{lo}, {hi}]: it must be two times, low then high")]
    GuidanceInterval {
        /// Its start.
        lo: f64,
        /// Its end.
        hi: f64,
    },
    /// Guidance on more channels than there are.
    #[error("guidance on the first {got} channels: this model has {channels}")]
    GuidanceChannels {
        /// Channels asked for.
        got: usize,
        /// C.
        channels: i64,
    },
    /// A micro-batch of no images.
    #[error("batch 0: a micro-batch holds at least one image")]
    Batch,
    /// Initial noise of another shape.
    #[error("initial noise has shape {got:?}; {expected:?} is needed")]
    NoiseShape {
        /// `[n, C, H, W]`.
        expected: Vec<i64>,
        /// Its shape.
        got: Vec<i64>,
    },
    /// Initial noise or an init image that is not f32, or holds NaN or infinity.
    #[error("{what} {problem}: finite f32 numbers are needed")]
    Values {
        /// Which tensor.
        what: &'static str,
        /// What it is or holds instead.
        problem: String,
    },
    /// An init image of another shape.
    #[error("init image has shape {got:?}; {expected:?} is needed")]
    InitShape {
        /// `[C, H, W]`.
        expected: Vec<i64>,
        /// Its shape.
        got: Vec<i64>,
    },
}

pub(crate) fn check_request(request: &Request, model: &Model) -> Result<(), RequestError> {
    if request.is_empty() {
        return Err(RequestError::NoImages);
    }
    let classes = model.config.num_classes;
    for class in &request.classes {
        match class {
            Some(got) if !(0..classes).contains(got) => {
                return Err(RequestError::Class { got: *got, classes });
            }
            None if model.config.null_class.is_none() => {
                return Err(RequestError::NoNullClass { what: "an image without a class" });
            }
            _ => {}
        }
    }
    let chw = model.backbone.shape().chw();
    if let Some(noise) = &request.initial_noise {
        let expected = [&[request.len() as i64][..], &chw].concat();
        if noise.size() != expected {
            return Err(RequestError::NoiseShape { expected, got: noise.size() });
        }
    }
    if let Some(init) = &request.init
        && init.x0.size() != chw
    {
        return Err(RequestError::InitShape { expected: chw.to_vec(), got: init.x0.size() });
    }
    Ok(())
}

/// Refuses initial noise and an init image that are not f32 and finite.
pub(crate) fn check_values(request: &Request) -> Result<(), Error> {
    let noise = request.initial_noise.iter().map(|noise| ("initial noise", noise));
    for (what, tensor) in noise.chain(request.init.iter().map(|init| ("the init image", &init.x0))) {
        let problem = if tensor.kind() != Kind::Float {
            format!("is {:?}", tensor.kind())
        } else if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            "holds NaN or infinity".into()
        } else {
            continue;
        };
        return Err(RequestError::Values { what, problem }.into());
    }
    Ok(())
}

pub(crate) fn check_guidance(guidance: &Guidance, model: &Model) -> Result<(), RequestError> {
    let [lo, hi] = guidance.interval;
    // Guidance is worked out in f32.
    if !(guidance.scale as f32).is_finite() {
        return Err(RequestError::GuidanceScale { got: guidance.scale });
    }
    if lo.is_nan() || hi.is_nan() || lo > hi {
        return Err(RequestError::GuidanceInterval { lo, hi });
    }
    if guidance.scale != 1.0 && model.config.null_class.is_none() {
        return Err(RequestError::NoNullClass { what: "guidance" });
    }
    let channels = model.backbone.shape().channels;
    match guidance.channels {
        GuidedChannels::First(got) if got == 0 || got > channels as usize => {
            Err(RequestError::GuidanceChannels { got, channels })
        }
        _ => Ok(()),
    }
}
