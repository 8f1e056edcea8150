//! A trained exit head: what it adds to an exit's state before the backbone's own final layer reads it.
//!
//! `b_i = a_i + A_i(a_i)`, in the hidden space, so that a head is a stand-in for the skipped blocks and the
//! final layer stays the backbone's. The last layer of A_i starts at zero: an untrained head is the shared one.
//! `local` and `global` follow LGViT (Xu et al. 2023, arXiv 2308.00255), which puts the former at shallow exits and
//! the latter at deep ones.

use tch::{TchError, Tensor};

use super::config::{ATTENTION_HEAD, HeadKind, LearnedConfig};
use super::layers::{Source, layer_norm};
use crate::linear::{Linear, Shapes, linear_shapes};

/// One exit's head.
#[derive(Debug)]
pub struct ExitHead {
    norm: Linear, // weight and bias [D]
    mix: Mix,
    grid: [i64; 2],
}

/// What comes behind the LayerNorm.
#[derive(Debug)]
enum Mix {
    /// Linear, D → D.
    Linear(Linear),
    /// Depthwise convolution `[D, 1, 3, 3]`, GELU, linear.
    Local { conv: Linear, linear: Linear },
    /// Attention of all tokens to 2×2-pooled ones.
    Global { query: Linear, key: Linear, value: Linear, proj: Linear, heads: i64 },
}

impl ExitHead {
    /// Adds the shapes of a head's tensors; a shared head has none.
    pub(super) fn shapes(config: &LearnedConfig, prefix: &str, shapes: &mut Shapes) {
        let d = config.width;
        let linears: &[&str] = match config.heads {
            HeadKind::Shared => return,
            HeadKind::Linear | HeadKind::Local => &["linear"],
            HeadKind::Global => &["query", "key", "value", "proj"],
        };
        linear_shapes(shapes, &format!("{prefix}.norm"), d, &[]);
        if config.heads == HeadKind::Local {
            linear_shapes(shapes, &format!("{prefix}.conv"), d, &[1, 3, 3]);
        }
        for name in linears {
            linear_shapes(shapes, &format!("{prefix}.{name}"), d, &[d]);
        }
    }

    /// The head of these tensors; none where heads are shared.
    pub(super) fn assemble(config: &LearnedConfig, source: &Source) -> Result<Option<Self>, TchError> {
        let mix = match config.heads {
            HeadKind::Shared => return Ok(None),
            HeadKind::Linear => Mix::Linear(source.linear("linear")?),
            HeadKind::Local => Mix::Local { conv: source.linear("conv")?, linear: source.linear("linear")? },
            HeadKind::Global => Mix::Global {
                query: source.linear("query")?,
                key: source.linear("key")?,
                value: source.linear("value")?,
                proj: source.linear("proj")?,
                heads: (config.width / config.width.min(ATTENTION_HEAD)) as i64,
            },
        };
        Ok(Some(Self { norm: source.linear("norm")?, mix, grid: config.grid.map(|n| n as i64) }))
    }

    /// The same head for another thread.
    pub(super) fn share(&self) -> Self {
        let mix = match &self.mix {
            Mix::Linear(linear) => Mix::Linear(linear.share()),
            Mix::Local { conv, linear } => Mix::Local { conv: conv.share(), linear: linear.share() },
            Mix::Global { query, key, value, proj, heads } => Mix::Global {
                query: query.share(),
                key: key.share(),
                value: value.share(),
                proj: proj.share(),
                heads: *heads,
            },
        };
        Self { norm: self.norm.share(), mix, grid: self.grid }
    }

    /// b_i of states a_i, `[R, T, D]`, in the dtype of both: what stands in for L_N.
    ///
    /// # Errors
    /// The states are of another shape or dtype.
    pub fn forward(&self, a: &Tensor) -> Result<Tensor, TchError> {
        let x = layer_norm(a, Some(&self.norm))?; // [R, T, D]
        let change = match &self.mix {
            Mix::Linear(linear) => linear.forward(&x)?,
            Mix::Local { conv, linear } => linear.forward(&self.convolve(conv, &x)?.f_gelu("tanh")?)?,
            Mix::Global { query, key, value, proj, heads } => {
                let pooled = self.pool(&x)?; // [R, P, D]
                let [q, k, v] = [query.forward(&x)?, key.forward(&pooled)?, value.forward(&pooled)?];
                proj.forward(&attention(&q, &k, &v, *heads)?)?
            }
        };
        a.f_add(&change)
    }

    /// Tokens `[R, T, D]` as an image `[R, D, h, w]`; a view.
    fn as_image(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (r, _, d) = x.size3()?;
        x.f_view([r, self.grid[0], self.grid[1], d])?.f_permute([0, 3, 1, 2])
    }

    /// A 3×3 convolution of every channel by itself over the token grid, `[R, T, D]`.
    fn convolve(&self, conv: &Linear, x: &Tensor) -> Result<Tensor, TchError> {
        let d = x.size3()?.2;
        let image = self.as_image(x)?;
        let y = image.f_conv2d(&conv.weight, Some(&conv.bias), [1, 1], [1, 1], [1, 1], d)?;
        as_tokens(&y)
    }

    /// Means of 2×2 tokens, at an odd edge of those that are there: `[R, ⌈h/2⌉·⌈w/2⌉, D]`.
    fn pool(&self, x: &Tensor) -> Result<Tensor, TchError> {
        as_tokens(&self.as_image(x)?.f_avg_pool2d([2, 2], [2, 2], [0, 0], true, false, None::<i64>)?)
    }
}

/// An image `[R, D, h, w]` as tokens `[R, h·w, D]`.
fn as_tokens(image: &Tensor) -> Result<Tensor, TchError> {
    image.f_flatten(2, 3)?.f_transpose(1, 2)
}

/// Multi-head attention of `q` `[R, T, D]` over `k` and `v` `[R, P, D]`, `[R, T, D]`.
fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: i64) -> Result<Tensor, TchError> {
    let (r, t, d) = q.size3()?;
    let apart = |x: &Tensor| x.f_reshape([r, -1, heads, d / heads])?.f_transpose(1, 2); // [R, H, ·, D/H]
    let (q, k, v) = (apart(q)?, apart(k)?, apart(v)?);
    let y = Tensor::f_scaled_dot_product_attention(&q, &k, &v, None::<Tensor>, 0.0, false, None, false)?;
    y.f_transpose(1, 2)?.f_reshape([r, t, d])
}
