//! What the crate does, written down straight: a DiT without exits, tails or a sampler, and a sampling loop.
//!
//! The DiT reads the weight file itself and shares no code with the crate's own; `full` must equal it bit
//! for bit on the same batch.

#![allow(dead_code, reason = "each test crate uses its own part")]

use std::collections::HashMap;
use std::path::Path;

use offramp::backbone::{Backbone, Input, State};
use offramp::noise::{Draw, standard_normal};
use offramp::solver::{History, Plan, Prediction, PredictionType, X0Clip, advance};
use tch::{Kind, Tensor};

pub struct Plain {
    w: HashMap<String, Tensor>,
    heads: i64,
}

impl Plain {
    /// The bundled weights, widened to f32.
    pub fn fashion() -> Self {
        Self::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/fashion-dit"), 3)
    }

    /// Weights in Meta's layout, widened to f32, with so many attention heads.
    pub fn open(folder: &Path, heads: i64) -> Self {
        let tensors = Tensor::read_safetensors(folder.join("model.safetensors")).unwrap();
        Self { w: tensors.into_iter().map(|(n, t)| (n, t.to_kind(Kind::Float))).collect(), heads }
    }

    fn linear(&self, name: &str, x: &Tensor) -> Tensor {
        x.linear(&self.w[&format!("{name}.weight")], Some(&self.w[&format!("{name}.bias")]))
    }

    /// ε, and what may stand behind it, for x `[R, C, H, W]`, t `[R]` f32, y `[R]` i64.
    pub fn forward(&self, x: &Tensor, t: &Tensor, y: &Tensor) -> Tensor {
        let p = self.w["x_embedder.proj.weight"].size()[2];
        let (tokens, d) = (self.w["pos_embed"].size()[1], self.w["pos_embed"].size()[2]);
        let side = (tokens as f64).sqrt() as i64;
        let blocks =
            (0..).take_while(|i| self.w.contains_key(&format!("blocks.{i}.attn.qkv.weight"))).count();
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
        for i in 0..blocks {
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
        let (r, c) = (patches.size()[0], patches.size()[2] / (p * p));
        let patches = patches.view([r, side, side, p, p, c]).permute([0, 5, 1, 3, 2, 4]);
        patches.reshape([r, c, side * p, side * p])
    }
}

/// h/2 · (1 + tanh(√(2/π)·(h + 0.044715·h³))), in the order of operations that the crate documents.
fn tanh_gelu(h: &Tensor) -> Tensor {
    let k = (2.0 / std::f64::consts::PI).sqrt();
    let tanh = ((h.square() * (0.044715 * k) + k) * h).tanh();
    let half = h * 0.5;
    half.addcmul(&half, &tanh)
}

/// A straight sampling loop: a backbone's parts, [`Prediction::new`] and [`advance`], without a sampler.
pub struct Loop<'a> {
    pub backbone: Box<dyn Backbone>,
    pub plan: Plan,
    pub classes: Vec<i64>,
    /// Image k is drawn from seed `seed + k`.
    pub seed: u64,
    pub prediction: PredictionType,
    pub clip: X0Clip,
    pub guided: Option<Guided>,
    /// Blocks run at every evaluation, and what then stands in for the rest.
    pub depth: usize,
    pub stand_in: &'a dyn Fn(&Tensor) -> Tensor,
}

/// Classifier-free guidance on the first `channels`.
#[derive(Clone, Copy)]
pub struct Guided {
    pub scale: f64,
    pub channels: i64,
    /// The class that stands for "no label".
    pub null: i64,
}

impl Loop<'_> {
    /// The state before the first block; conditional and unconditional rows alternate where guided.
    pub fn begin(&self, x: &Tensor, t: f64) -> State {
        let classes: Vec<i64> = match self.guided {
            Some(guided) => self.classes.iter().flat_map(|&class| [class, guided.null]).collect(),
            None => self.classes.clone(),
        };
        let x = x.repeat_interleave_self_int(classes.len() as i64 / x.size()[0], 0, None);
        let t = Tensor::full([classes.len() as i64], t, (Kind::Float, tch::Device::Cpu));
        self.backbone.begin(&Input { x: &x, t: &t, class: &Tensor::from_slice(&classes) }).unwrap()
    }

    /// The network's output, guided, `[B, C or 2C, H, W]`.
    fn output(&self, x: &Tensor, t: f64) -> Tensor {
        let mut state = self.begin(x, t);
        for i in 0..self.depth {
            self.backbone.block(i, &mut state).unwrap();
        }
        if self.depth < self.backbone.depth() {
            state.hidden = (self.stand_in)(&state.hidden);
        }
        let out = self.backbone.finish(self.depth, state).unwrap();
        let Some(Guided { scale, channels, .. }) = self.guided else { return out };
        let (c, u) = (out.slice(0, 0, None, 2), out.slice(0, 1, None, 2));
        let split = |part: &Tensor| part.slice(1, 0, channels, 1);
        let guided = split(&u) + (split(&c) - split(&u)) * scale;
        Tensor::cat(&[guided, c.slice(1, channels, None, 1)], 1)
    }

    /// The images, `[B, C, H, W]`.
    pub fn run(&self) -> Tensor {
        let rows = self.classes.len();
        let shape = self.backbone.shape();
        let noise = |row: usize, draw| standard_normal(self.seed + row as u64, draw, shape.chw()).unwrap();
        let mut histories: Vec<History> = (0..rows).map(|_| History::new()).collect();
        let mut x = Tensor::stack(&(0..rows).map(|k| noise(k, Draw::Initial)).collect::<Vec<_>>(), 0);
        for (e, evaluation) in self.plan.evaluations().iter().enumerate() {
            let node = evaluation.node;
            let out = self.output(&x, node.t);
            let parts = out.split(shape.channels, 1);
            let variance = parts.get(1).map(Tensor::shallow_clone);
            let nodes = vec![node; rows];
            let prediction =
                Prediction::new(&x, &parts[0], variance, &nodes, self.prediction, self.clip, (-1.0, 1.0));
            let mut histories: Vec<&mut History> = histories.iter_mut().collect();
            let z = |row: usize| Ok(noise(row, Draw::Evaluation(e)));
            x = advance(&self.plan, &vec![e; rows], &x, &prediction.unwrap(), &mut histories, z).unwrap().x;
        }
        x
    }
}
