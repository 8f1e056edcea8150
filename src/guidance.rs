//! Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598): `ε = ε_∅ + s·(ε_c − ε_∅)`.
//!
//! A guided image is two adjacent rows of the network's batch, conditional then unconditional. Outside the
//! guidance interval (Kynkäänniemi et al. 2024, arXiv 2404.07724) and at scale 1 it is one row, since the
//! unconditional half would change nothing.

use tch::{TchError, Tensor};

use crate::backbone::row_index;

/// Which channels guidance acts on; the others are the conditional half's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GuidedChannels {
    /// All (Hugging Face).
    #[default]
    All,
    /// The first n (the original DiT code guides 3 of 4 latent channels).
    First(usize),
}

/// Classifier-free guidance of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guidance {
    /// s; 1 is no guidance, and costs none.
    pub scale: f64,
    /// Times [lo, hi] at which it acts, both included.
    pub interval: [f64; 2],
    /// Which channels it acts on.
    pub channels: GuidedChannels,
}

impl Guidance {
    /// No guidance.
    pub const NONE: Guidance = Guidance::scale(1.0);

    /// Guidance at every time and on all channels.
    pub const fn scale(scale: f64) -> Self {
        Self { scale, interval: [0.0, f64::INFINITY], channels: GuidedChannels::All }
    }

    /// Whether an image at time `t` needs its unconditional half.
    pub fn acts_at(&self, t: f64) -> bool {
        self.scale != 1.0 && (self.interval[0]..=self.interval[1]).contains(&t)
    }

    /// One output per image from the rows' outputs.
    ///
    /// `output` is `[R, C or 2C, H, W]`; `first[k]` is image k's conditional row, `guided[k]` whether its
    /// unconditional one follows. Only the first `channels` (C) are guided, so a learned variance is the
    /// conditional half's. Returns `[B, C or 2C, H, W]`.
    pub(crate) fn combine(
        &self,
        output: &Tensor,
        first: &[usize],
        guided: &[bool],
        channels: i64,
    ) -> Result<Tensor, TchError> {
        if !guided.contains(&true) {
            return Ok(output.shallow_clone());
        }
        let second: Vec<usize> = first.iter().zip(guided).map(|(&r, &g)| r + usize::from(g)).collect();
        let conditional = output.f_index_select(0, &row_index(first, output)?)?;
        let unconditional = output.f_index_select(0, &row_index(&second, output)?)?;
        let n = match self.channels {
            GuidedChannels::All => channels,
            GuidedChannels::First(n) => channels.min(n as i64),
        };
        let (c, u) = (conditional.f_narrow(1, 0, n)?, unconditional.f_narrow(1, 0, n)?);
        // An image that is not guided has c = u here, and stays c.
        let guided = u.f_add(&c.f_sub(&u)?.f_mul_scalar(self.scale)?)?;
        let rest = conditional.f_narrow(1, n, conditional.size()[1] - n)?;
        Tensor::f_cat(&[guided, rest], 1)
    }
}
