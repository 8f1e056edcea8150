//! The plain network: a DiT written down straight, without exits, tails or a sampler.
//!
//! It reads the weight file itself and shares no code with the crate's own DiT; `full` must equal it bit
//! for bit on the same batch.

use std::collections::HashMap;
use std::path::Path;

use tch::{Kind, Tensor};

pub struct Plain {
    w: HashMap<String, Tensor>,
    blocks: usize,
    heads: i64,
    patch: i64,
}

impl Plain {
    /// The bundled weights, widened to f32.
    pub fn fashion() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/fashion-dit/model.safetensors");
        let tensors = Tensor::read_safetensors(file).unwrap();
        let w = tensors.into_iter().map(|(n, t)| (n, t.to_kind(Kind::Float))).collect();
        Self { w, blocks: 12, heads: 3, patch: 4 }
    }

    fn linear(&self, name: &str, x: &Tensor) -> Tensor {
        x.linear(&self.w[&format!("{name}.weight")], Some(&self.w[&format!("{name}.bias")]))
    }

    /// ε for x `[R, 1, 28, 28]`, t `[R]` f32, y `[R]` i64.
    pub fn forward(&self, x: &Tensor, t: &Tensor, y: &Tensor) -> Tensor {
        let p = self.patch;
        let d = self.w["pos_embed"].size()[2];
        let proj = (&self.w["x_embedder.proj.weight"], &self.w["x_embedder.proj.bias"]);
        let tokens = x.conv2d(proj.0, Some(proj.1), [p, p], [0, 0], [1, 1], 1).flatten(2, 3).transpose(1, 2);
        let mut x = tokens + &self.w["pos_embed"]; // [R, T, D]

        let k = Tensor::arange(128, (Kind::Float, tch::Device::Cpu));
        let frequencies = (k * -10_000f64.ln() / 128).exp();
        let angles = t.unsqueeze(1) * frequencies;
        let features = Tensor::cat(&[angles.cos(), angles.sin()], 1);
        let temb = self.linear("t_embedder.mlp.2", &self.linear("t_embedder.mlp.0", &features).silu());
        let c = (temb + self.w["y_embedder.embedding_table.weight"].index_select(0, y)).silu();

        let modulate = |x: &Tensor, shift: &Tensor, scale: &Tensor| {
            let norm = x.layer_norm([d], None::<Tensor>, None::<Tensor>, 1e-6, true);
            shift.addcmul(&norm, &(scale + 1.0))
        };
        for i in 0..self.blocks {
            let b = format!("blocks.{i}");
            let m = self.linear(&format!("{b}.adaLN_modulation.1"), &c).unsqueeze(1).chunk(6, -1);
            let h = modulate(&x, &m[0], &m[1]);
            let (r, t, _) = h.size3().unwrap();
            let qkv = self.linear(&format!("{b}.attn.qkv"), &h).view([r, t, 3, self.heads, d / self.heads]);
            let qkv = qkv.permute([2, 0, 3, 1, 4]);
            let (q, k, v) = (qkv.select(0, 0), qkv.select(0, 1), qkv.select(0, 2));
            let a = Tensor::scaled_dot_product_attention(&q, &k, &v, None::<Tensor>, 0.0, false, None, false);
            let a = self.linear(&format!("{b}.attn.proj"), &a.transpose(1, 2).reshape([r, t, d]));
            x = x.addcmul(&m[2], &a);
            let h = modulate(&x, &m[3], &m[4]);
            let h = tanh_gelu(&self.linear(&format!("{b}.mlp.fc1"), &h));
            x = x.addcmul(&m[5], &self.linear(&format!("{b}.mlp.fc2"), &h));
        }
        let m = self.linear("final_layer.adaLN_modulation.1", &c).unsqueeze(1).chunk(2, -1);
        let patches = self.linear("final_layer.linear", &modulate(&x, &m[0], &m[1]));
        let r = patches.size()[0];
        patches.view([r, 7, 7, p, p, 1]).permute([0, 5, 1, 3, 2, 4]).reshape([r, 1, 7 * p, 7 * p])
    }
}

/// h/2 · (1 + tanh(√(2/π)·(h + 0.044715·h³))), in the order of operations that the crate documents.
fn tanh_gelu(h: &Tensor) -> Tensor {
    let k = (2.0 / std::f64::consts::PI).sqrt();
    let tanh = ((h.square() * (0.044715 * k) + k) * h).tanh();
    let half = h * 0.5;
    half.addcmul(&half, &tanh)
}
