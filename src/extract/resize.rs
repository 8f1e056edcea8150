//! Resizing by name: the rule is part of what a distance is called.

use std::fmt;
use std::str::FromStr;

use tch::{TchError, Tensor};

/// How images come to a network's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resize {
    /// clean-fid's (Parmar et al. 2022, arXiv 2104.11222): PIL's antialiased bicubic on float channels, clipped to
    /// 0 … 255, not rounded.
    Clean,
    /// pytorch-fid's: bilinear between pixel centres without antialiasing, which aliases when it shrinks.
    Legacy,
}

impl Resize {
    /// Images f32 `[B, C, H, W]` in 0 … 255 at `size` × `size`, in the same scale.
    pub fn apply(self, images: &Tensor, size: i64) -> Result<Tensor, TchError> {
        let out = [size, size];
        match self {
            _ if images.size()[2..] == out => Ok(images.shallow_clone()),
            // Where it antialiases, libtorch takes PIL's a = −0.5.
            Self::Clean => {
                images.f_internal_upsample_bicubic2d_aa(out, false, None, None)?.f_clamp_(0.0, 255.0)
            }
            Self::Legacy => images.f_upsample_bilinear2d(out, false, None, None),
        }
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clean => "clean",
            Self::Legacy => "legacy",
        })
    }
}

impl FromStr for Resize {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "clean" => Ok(Self::Clean),
            "legacy" => Ok(Self::Legacy),
            _ => Err(format!("unknown rule {s:?}: there are clean and legacy")),
        }
    }
}
