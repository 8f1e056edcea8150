//! The pixels themselves: no network, for tests and as the plainest of comparisons.

use tch::{Kind, Tensor};

use super::{ExtractError, Extractor, Features, Identity, shape_of};

/// Takes pixels, row by row and channel by channel within a pixel, divided by 255.
#[derive(Debug, Clone)]
pub struct RawPixels {
    identity: Identity,
}

impl RawPixels {
    /// The one there is.
    pub fn new() -> Self {
        let identity = Identity { name: "pixels".into(), resize: "none".into(), weights_sha256: None };
        Self { identity }
    }
}

impl Default for RawPixels {
    fn default() -> Self {
        Self::new()
    }
}

impl Extractor for RawPixels {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn width(&self, shape: [usize; 3]) -> Result<usize, ExtractError> {
        Ok(shape.iter().product())
    }

    fn classes(&self) -> Option<usize> {
        None
    }

    fn extract(&self, images: &Tensor) -> Result<Features, ExtractError> {
        shape_of("pixels", images)?;
        let pooled = images.f_to_kind(Kind::Float)?.f_flatten(1, 3)?.f_div_scalar(255.0)?; // [B, H·W·C]
        Ok(Features { pooled, logits: None })
    }

    fn share(&self) -> Box<dyn Extractor> {
        Box::new(self.clone())
    }
}
