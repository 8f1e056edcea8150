//! Feature extractors: networks that turn an image into the numbers whose distribution is compared.
//!
//! A Fréchet distance means something only together with the name of its extractor; only
//! `inception-2015` makes it a FID. An [`Extractor`] takes 8-bit images as they are on disk and does
//! everything else itself: resizing by a named rule, normalisation, the network, pooling.
//!
//! | name | network | features | classes | weights |
//! |---|---|---|---|---|
//! | `inception-2015` | the Inception of the FID | 2048 | 1008 | the user's, through `scripts/convert_inception.py` |
//! | `efficientnet-lite0` | EfficientNet-Lite0, ImageNet | 1280 | 1000 | `make extractors` |
//! | `fashion-features` | a classifier of Fashion-MNIST | 128 | 10 | shipped |
//! | `pixels` | none | H·W·C | | none |
//!
//! [`open`] makes one from an [`ExtractorSpec`]. Every image is worked on by itself: its features do not depend on
//! its neighbours in the batch, though the last bits can depend on how many there are.

mod convolution;
mod efficientnet;
mod error;
mod fashion;
mod inception;
mod pixels;
mod resize;
mod spec;

pub use efficientnet::EfficientNetLite0;
pub use error::ExtractError;
pub use fashion::{FashionFeatures, FashionNet};
pub use inception::Inception2015;
pub use pixels::RawPixels;
pub use resize::Resize;
pub use spec::{ExtractorSpec, Network, cache_folder, open};

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::backbone::Checkpoint;

/// Which features these are. Features and statistics are comparable only where all fields are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The extractor's name (`fashion-features`).
    pub name: String,
    /// The resizing rule by name (`clean`, `legacy`), or `none` where images are taken as they are.
    pub resize: String,
    /// SHA-256 of its weights, hex; none for an extractor without weights.
    pub weights_sha256: Option<String>,
}

/// What a network says of a batch of images.
#[derive(Debug)]
pub struct Features {
    /// The penultimate layer, f32 `[B, d]`.
    pub pooled: Tensor,
    /// Class logits, f32 `[B, K]`, where the network has classes.
    pub logits: Option<Tensor>,
}

/// A network, or a rule, that turns images into features.
pub trait Extractor: Send {
    /// Which features it makes.
    fn identity(&self) -> &Identity;

    /// d, numbers per image, for images of `shape` `[H, W, C]`.
    ///
    /// # Errors
    /// Images of that shape cannot be taken.
    fn width(&self, shape: [usize; 3]) -> Result<usize, ExtractError>;

    /// K, where the network has classes.
    fn classes(&self) -> Option<usize>;

    /// Features of 8-bit images, u8 `[B, H, W, C]` with C = 1 or 3. A grey image is repeated over the channels
    /// where the network wants three.
    ///
    /// # Errors
    /// Images of that shape or dtype cannot be taken.
    fn extract(&self, images: &Tensor) -> Result<Features, ExtractError>;

    /// The same extractor for another thread; weights are not copied.
    fn share(&self) -> Box<dyn Extractor>;
}

/// `[H, W, C]` of a batch u8 `[B, H, W, C]`.
fn shape_of(name: &str, images: &Tensor) -> Result<[usize; 3], ExtractError> {
    match images.size()[..] {
        [_, h, w, c] if images.kind() == Kind::Uint8 && h > 0 && w > 0 && (c == 1 || c == 3) => {
            Ok([h as usize, w as usize, c as usize])
        }
        _ => Err(ExtractError::Images {
            extractor: name.into(),
            expected: "Uint8 [B, H, W, 1 or 3]",
            got: format!("{:?} {:?}", images.kind(), images.size()),
        }),
    }
}

/// Images u8 `[B, H, W, 1 or 3]` as a network wants them: f32 `[B, 3, size, size]`, (x − middle) / half.
///
/// In memory the channels of a pixel lie side by side, as in the images; the convolutions keep to that order, which
/// spares them from reordering their input and output.
fn rgb(images: &Tensor, resize: Resize, size: i64, middle: f64, half: f64) -> Result<Tensor, TchError> {
    let x = images.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?; // [B, C, H, W]
    let x = resize.apply(&x, size)?.f_sub_scalar(middle)?.f_div_scalar_(half)?;
    let x = x.f_expand([-1, 3, -1, -1], false)?;
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2]) // [B, 3, size, size]
}

/// Every tensor of a weight file in f32, by name, with the SHA-256 of the file; exactly the tensors that `expected`
/// calls for.
fn read_weights(
    file: &Path,
    expected: &BTreeMap<String, Vec<usize>>,
    expected_by: &str,
) -> Result<(BTreeMap<String, Tensor>, String), ExtractError> {
    let checkpoint = Checkpoint::open(file)?;
    checkpoint.expect(expected, expected_by)?;
    Ok(checkpoint.read()?)
}
