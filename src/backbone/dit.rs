//! DiT, the diffusion transformer (Peebles & Xie 2022, arXiv 2212.09748), in Meta's own formula.
//!
//! Patches become tokens; every block is a LayerNorm without weights whose shift, scale and residual gate
//! are read off the timestep and class (adaLN-Zero); a final layer of the same kind turns each token into
//! its patch of noise. Since every block keeps the shape `[R, T, D]` and the final layer takes any of
//! them, the network can be left after any block: the shared final layer is the exit head.

use std::collections::BTreeMap;

use tch::{Device, Kind, TchError, Tensor};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::config::{Config, Layout};
use super::dit_keys::{self, TIME_FEATURES};
use super::{Backbone, ExitPoint, ImageShape, Input, State};
use crate::linear::Linear;

struct Block {
    qkv: Linear,
    proj: Linear,
    fc1: Linear,
    fc2: Linear,
    modulation: Linear,
}

/// A DiT's weights on one device, in one dtype.
pub struct Dit {
    patch_embed: Linear, // weight [D, C, p, p]
    positions: Tensor,   // [1, T, D]
    frequencies: Tensor, // [128], f32
    t_mlp: [Linear; 2],
    labels: Tensor, // [classes + null, D]
    blocks: Vec<Block>,
    final_modulation: Linear,
    final_linear: Linear,
    shape: ImageShape,
    patch: i64,
    heads: i64,
    mlp_eps: f64,
    learns_variance: bool,
    exits: Vec<ExitPoint>,
}

/// Epsilon of every LayerNorm but Hugging Face's norm before the MLP.
pub(crate) const NORM_EPS: f64 = 1e-6;

impl Dit {
    /// Reads the weights; also gives the SHA-256 of the file, hex.
    ///
    /// `dtype` is that of the weights and the forward pass: `Kind::Float`, or `Kind::BFloat16` at a loss of
    /// precision.
    pub fn read(
        checkpoint: &Checkpoint,
        config: &Config,
        device: Device,
        dtype: Kind,
    ) -> Result<(Self, String), CheckpointError> {
        let tensors = dit_keys::read(checkpoint, config)?;
        Ok((Self::assemble(tensors.by_key, config, device, dtype)?, tensors.sha256))
    }

    /// The network of these tensors, under Meta's names.
    pub(super) fn assemble(
        mut by_key: BTreeMap<String, Tensor>,
        c: &Config,
        device: Device,
        dtype: Kind,
    ) -> Result<Self, TchError> {
        let mut take = |key: &str| match by_key.remove(key) {
            Some(tensor) => tensor.f_to_device(device)?.f_to_kind(dtype),
            None => Err(TchError::FileFormat(format!("tensor {key} was read twice"))),
        };
        let mut linear = |name: &str| -> Result<Linear, TchError> {
            Ok(Linear { weight: take(&format!("{name}.weight"))?, bias: take(&format!("{name}.bias"))? })
        };
        let mut blocks = Vec::with_capacity(c.depth);
        for i in 0..c.depth {
            blocks.push(Block {
                qkv: linear(&format!("blocks.{i}.attn.qkv"))?,
                proj: linear(&format!("blocks.{i}.attn.proj"))?,
                fc1: linear(&format!("blocks.{i}.mlp.fc1"))?,
                fc2: linear(&format!("blocks.{i}.mlp.fc2"))?,
                modulation: linear(&format!("blocks.{i}.adaLN_modulation.1"))?,
            });
        }
        // Every block costs the same, so a block is 1/N.
        let exits = (1..=c.depth).map(|depth| ExitPoint { depth, cost: depth as f64 / c.depth as f64 });
        Ok(Self {
            patch_embed: linear("x_embedder.proj")?,
            t_mlp: [linear("t_embedder.mlp.0")?, linear("t_embedder.mlp.2")?],
            final_modulation: linear("final_layer.adaLN_modulation.1")?,
            final_linear: linear("final_layer.linear")?,
            positions: take("pos_embed")?,
            labels: take("y_embedder.embedding_table.weight")?,
            frequencies: frequencies(c.layout)?.f_to(device)?,
            blocks,
            shape: ImageShape { channels: c.in_channels, height: c.input_size, width: c.input_size },
            patch: c.patch_size,
            heads: c.num_heads,
            mlp_eps: match c.layout {
                Layout::Meta => NORM_EPS,
                Layout::Huggingface => c.norm_eps,
            },
            learns_variance: c.learn_sigma,
            exits: exits.collect(),
        })
    }

    fn width(&self) -> i64 {
        self.labels.size()[1]
    }

    fn attention(&self, block: &Block, x: &Tensor) -> Result<Tensor, TchError> {
        let (r, t, d) = x.size3()?;
        let qkv = block.qkv.forward(x)?.f_view([r, t, 3, self.heads, d / self.heads])?;
        let qkv = qkv.f_permute([2, 0, 3, 1, 4])?; // [3, R, H, T, D/H]
        let [q, k, v] = [0, 1, 2].map(|i| qkv.f_select(0, i));
        let y =
            Tensor::f_scaled_dot_product_attention(&q?, &k?, &v?, None::<Tensor>, 0.0, false, None, false)?;
        block.proj.forward(&y.f_transpose(1, 2)?.f_reshape([r, t, d])?) // [R, T, D]
    }

    /// `n` modulation vectors of `[R, 1, D]` each.
    fn modulation(&self, linear: &Linear, conditioning: &Tensor, n: i64) -> Result<Vec<Tensor>, TchError> {
        linear.forward(conditioning)?.f_unsqueeze(1)?.f_chunk(n, -1)
    }

    /// LayerNorm without weights, then `x·(1 + scale) + shift`.
    fn norm_modulate(
        &self,
        x: &Tensor,
        shift: &Tensor,
        scale: &Tensor,
        eps: f64,
    ) -> Result<Tensor, TchError> {
        let norm = x.f_layer_norm([self.width()], None::<Tensor>, None::<Tensor>, eps, true)?;
        shift.f_addcmul(&norm, &scale.f_add_scalar(1.0)?)
    }
}

/// Elements of a [`tanh_gelu`] pass: 512 KiB of f32, which stay in a core's cache from op to op.
const GELU_CHUNK: i64 = 1 << 17;

/// `h/2 · (1 + tanh(√(2/π) · (h + 0.044715 h³)))`.
///
/// libtorch has it as one op, whose tanh is several times slower on an x86 processor in f32 than the tanh
/// op is by itself; so there it is put together from ops, in place, a piece of the tensor at a time. Where
/// gradients are asked for, which in-place ops would spoil, the one op serves.
fn tanh_gelu(h: Tensor) -> Result<Tensor, TchError> {
    let x86_f32 = cfg!(target_arch = "x86_64") && h.device() == Device::Cpu && h.kind() == Kind::Float;
    if !x86_f32 || h.requires_grad() {
        return h.f_gelu("tanh");
    }
    let k = (2.0 / std::f64::consts::PI).sqrt();
    for mut part in h.f_view(-1)?.f_split(GELU_CHUNK, 0)? {
        let mut tanh = part.f_square()?.f_mul_scalar_(0.044715 * k)?.f_add_scalar_(k)?.f_mul_(&part)?;
        let _ = tanh.f_tanh_()?;
        let half = part.f_mul_scalar_(0.5)?;
        let _ = part.f_addcmul_(&half, &tanh)?;
    }
    Ok(h)
}

/// `exp(−ln 10⁴ · k/half)`, `half` = 128; Hugging Face's class divides by `half − 1`.
fn frequencies(layout: Layout) -> Result<Tensor, TchError> {
    let half = TIME_FEATURES / 2;
    let divisor = match layout {
        Layout::Meta => half,
        Layout::Huggingface => half - 1,
    };
    let k = Tensor::f_arange(half, (Kind::Float, Device::Cpu))?;
    k.f_mul_scalar(-10_000f64.ln())?.f_div_scalar(divisor)?.f_exp()
}

impl Backbone for Dit {
    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn learns_variance(&self) -> bool {
        self.learns_variance
    }

    fn state_size(&self) -> usize {
        self.positions.numel()
    }

    fn exit_points(&self) -> &[ExitPoint] {
        &self.exits
    }

    fn begin(&self, input: &Input) -> Result<State, TchError> {
        let dtype = self.labels.kind();
        let p = [self.patch, self.patch];
        let x = input.x.f_to_kind(dtype)?;
        let tokens = x
            .f_conv2d(&self.patch_embed.weight, Some(&self.patch_embed.bias), p, [0, 0], [1, 1], 1)? // [R, D, h, w]
            .f_flatten(2, 3)?
            .f_transpose(1, 2)?; // [R, T, D]
        let hidden = tokens.f_add(&self.positions)?;

        let angles = input.t.f_unsqueeze(1)?.f_mul(&self.frequencies)?; // [R, 128]
        let features = Tensor::f_cat(&[angles.f_cos()?, angles.f_sin()?], 1)?.f_to_kind(dtype)?; // [R, 256]
        let temb = self.t_mlp[1].forward(&self.t_mlp[0].forward(&features)?.f_silu()?)?; // [R, D]
        let label = self.labels.f_index_select(0, input.class)?; // [R, D]
        let conditioning = temb.f_add(&label)?.f_silu()?;
        Ok(State { hidden, temb, conditioning })
    }

    fn block(&self, i: usize, state: &mut State) -> Result<(), TchError> {
        let block = &self.blocks[i];
        let m = self.modulation(&block.modulation, &state.conditioning, 6)?;
        let h = self.norm_modulate(&state.hidden, &m[0], &m[1], NORM_EPS)?;
        let x = state.hidden.f_addcmul(&m[2], &self.attention(block, &h)?)?;
        let h = self.norm_modulate(&x, &m[3], &m[4], self.mlp_eps)?;
        let h = block.fc2.forward(&tanh_gelu(block.fc1.forward(&h)?)?)?;
        state.hidden = x.f_addcmul(&m[5], &h)?; // [R, T, D]
        Ok(())
    }

    fn finish(&self, _depth: usize, state: State) -> Result<Tensor, TchError> {
        let m = self.modulation(&self.final_modulation, &state.conditioning, 2)?;
        let h = self.norm_modulate(&state.hidden, &m[0], &m[1], NORM_EPS)?;
        let patches = self.final_linear.forward(&h)?.f_to_kind(Kind::Float)?; // [R, T, p·p·C']
        let (r, p) = (state.hidden.size()[0], self.patch);
        let (h, w) = (self.shape.height / p, self.shape.width / p);
        let c = if self.learns_variance { 2 * self.shape.channels } else { self.shape.channels };
        patches
            .f_view([r, h, w, p, p, c])?
            .f_permute([0, 5, 1, 3, 2, 4])? // [R, C', h, p, w, p]
            .f_reshape([r, c, h * p, w * p])
    }

    fn share(&self) -> Box<dyn Backbone> {
        let block = |b: &Block| Block {
            qkv: b.qkv.share(),
            proj: b.proj.share(),
            fc1: b.fc1.share(),
            fc2: b.fc2.share(),
            modulation: b.modulation.share(),
        };
        Box::new(Self {
            patch_embed: self.patch_embed.share(),
            positions: self.positions.shallow_clone(),
            frequencies: self.frequencies.shallow_clone(),
            t_mlp: [self.t_mlp[0].share(), self.t_mlp[1].share()],
            labels: self.labels.shallow_clone(),
            blocks: self.blocks.iter().map(block).collect(),
            final_modulation: self.final_modulation.share(),
            final_linear: self.final_linear.share(),
            exits: self.exits.clone(),
            ..*self
        })
    }
}
