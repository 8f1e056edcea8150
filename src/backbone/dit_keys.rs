//! The two key layouts in which DiT weights are found, brought into Meta's.
//!
//! Hugging Face's class splits qkv, recomputes the position table and keeps a copy of both embedders in
//! every block; the copies must agree, since one shared embedder is run here.

use std::collections::BTreeMap;

use tch::{Kind, TchError, Tensor};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::config::{Config, Layout};
use crate::linear::{Shapes, linear_shapes};

/// Width of the sine-cosine timestep features.
pub(super) const TIME_FEATURES: i64 = 256;

/// Tensors under Meta's names, whatever the file's layout.
pub(super) struct DitTensors {
    /// By Meta key, f32, CPU; `pos_embed` included.
    pub by_key: BTreeMap<String, Tensor>,
    /// SHA-256 of the file, hex.
    pub sha256: String,
}

/// Checks the file against the configuration and reads it.
pub(super) fn read(checkpoint: &Checkpoint, config: &Config) -> Result<DitTensors, CheckpointError> {
    let by = |layout| {
        format!("config.json (dit, {layout} layout, {} blocks × {})", config.depth, config.hidden_size)
    };
    match config.layout {
        Layout::Meta => {
            checkpoint.expect(&meta_shapes(config), &by("meta"))?;
            let (by_key, sha256) = checkpoint.read()?;
            Ok(DitTensors { by_key, sha256 })
        }
        Layout::Huggingface => {
            checkpoint.expect(&huggingface_shapes(config), &by("huggingface"))?;
            let (tensors, sha256) = checkpoint.read()?;
            Ok(DitTensors { by_key: from_huggingface(checkpoint, config, tensors)?, sha256 })
        }
    }
}

/// Output channels: the prediction and, where it is learned, the variance.
pub(super) fn out_channels(config: &Config) -> i64 {
    if config.learn_sigma { 2 * config.in_channels } else { config.in_channels }
}

/// Rows of the label table: one more where there is a null class.
fn label_rows(config: &Config) -> usize {
    config.num_classes as usize + usize::from(config.null_class.is_some())
}

pub(super) fn meta_shapes(c: &Config) -> Shapes {
    let (d, p) = (c.hidden_size as usize, c.patch_size as usize);
    let tokens = (c.input_size / c.patch_size).pow(2) as usize;
    let mut s = Shapes::new();
    linear_shapes(&mut s, "x_embedder.proj", d, &[c.in_channels as usize, p, p]);
    s.insert("pos_embed".into(), vec![1, tokens, d]);
    linear_shapes(&mut s, "t_embedder.mlp.0", d, &[TIME_FEATURES as usize]);
    linear_shapes(&mut s, "t_embedder.mlp.2", d, &[d]);
    s.insert("y_embedder.embedding_table.weight".into(), vec![label_rows(c), d]);
    for i in 0..c.depth {
        let b = format!("blocks.{i}");
        linear_shapes(&mut s, &format!("{b}.attn.qkv"), 3 * d, &[d]);
        linear_shapes(&mut s, &format!("{b}.attn.proj"), d, &[d]);
        linear_shapes(&mut s, &format!("{b}.mlp.fc1"), c.mlp_ratio as usize * d, &[d]);
        linear_shapes(&mut s, &format!("{b}.mlp.fc2"), d, &[c.mlp_ratio as usize * d]);
        linear_shapes(&mut s, &format!("{b}.adaLN_modulation.1"), 6 * d, &[d]);
    }
    linear_shapes(&mut s, "final_layer.linear", p * p * out_channels(c) as usize, &[d]);
    linear_shapes(&mut s, "final_layer.adaLN_modulation.1", 2 * d, &[d]);
    s
}

/// `(Hugging Face name, Meta name)` of the linears that only change their name, outside the blocks.
const OUTER: [(&str, &str); 3] = [
    ("pos_embed.proj", "x_embedder.proj"),
    ("proj_out_1", "final_layer.adaLN_modulation.1"),
    ("proj_out_2", "final_layer.linear"),
];

/// The same, inside a block.
const INNER: [(&str, &str); 4] = [
    ("norm1.linear", "adaLN_modulation.1"),
    ("attn1.to_out.0", "attn.proj"),
    ("ff.net.0.proj", "mlp.fc1"),
    ("ff.net.2", "mlp.fc2"),
];

/// The embedders that Hugging Face repeats in every block.
const EMBEDDERS: [(&str, &str); 5] = [
    ("norm1.emb.timestep_embedder.linear_1.weight", "t_embedder.mlp.0.weight"),
    ("norm1.emb.timestep_embedder.linear_1.bias", "t_embedder.mlp.0.bias"),
    ("norm1.emb.timestep_embedder.linear_2.weight", "t_embedder.mlp.2.weight"),
    ("norm1.emb.timestep_embedder.linear_2.bias", "t_embedder.mlp.2.bias"),
    ("norm1.emb.class_embedder.embedding_table.weight", "y_embedder.embedding_table.weight"),
];

fn huggingface_shapes(c: &Config) -> Shapes {
    let meta = meta_shapes(c);
    let d = c.hidden_size as usize;
    let mut s = Shapes::new();
    let mut rename = |from: String, to: String| {
        for part in ["weight", "bias"] {
            s.insert(format!("{to}.{part}"), meta[&format!("{from}.{part}")].clone());
        }
    };
    for (hf, ours) in OUTER {
        rename(ours.into(), hf.into());
    }
    for i in 0..c.depth {
        for (hf, ours) in INNER {
            rename(format!("blocks.{i}.{ours}"), format!("transformer_blocks.{i}.{hf}"));
        }
    }
    for i in 0..c.depth {
        for part in ["to_q", "to_k", "to_v"] {
            linear_shapes(&mut s, &format!("transformer_blocks.{i}.attn1.{part}"), d, &[d]);
        }
        for (hf, ours) in EMBEDDERS {
            s.insert(format!("transformer_blocks.{i}.{hf}"), meta[ours].clone());
        }
    }
    s
}

fn from_huggingface(
    checkpoint: &Checkpoint,
    c: &Config,
    mut hf: BTreeMap<String, Tensor>,
) -> Result<BTreeMap<String, Tensor>, CheckpointError> {
    let mut meta = BTreeMap::new();
    // `expect` has found every name, so nothing here can be missing.
    let mut take = |name: &str| {
        hf.remove(name).ok_or_else(|| TchError::FileFormat(format!("tensor {name} was read twice")))
    };
    for part in ["weight", "bias"] {
        for (from, to) in OUTER {
            meta.insert(format!("{to}.{part}"), take(&format!("{from}.{part}"))?);
        }
    }
    for (from, to) in EMBEDDERS {
        let original = format!("transformer_blocks.0.{from}");
        let embedder = take(&original)?;
        for i in 1..c.depth {
            let copy = format!("transformer_blocks.{i}.{from}");
            if !embedder.f_equal(&take(&copy)?)? {
                return Err(CheckpointError::CopiesDiffer {
                    file: checkpoint.file().to_owned(),
                    tensor: copy,
                    original,
                });
            }
        }
        meta.insert(to.into(), embedder);
    }
    for i in 0..c.depth {
        for part in ["weight", "bias"] {
            for (from, to) in INNER {
                meta.insert(
                    format!("blocks.{i}.{to}.{part}"),
                    take(&format!("transformer_blocks.{i}.{from}.{part}"))?,
                );
            }
            let mut qkv = vec![];
            for from in ["to_q", "to_k", "to_v"] {
                qkv.push(take(&format!("transformer_blocks.{i}.attn1.{from}.{part}"))?);
            }
            meta.insert(format!("blocks.{i}.attn.qkv.{part}"), Tensor::f_cat(&qkv, 0)?);
        }
    }
    meta.insert("pos_embed".into(), position_table(c)?);
    Ok(meta)
}

/// The fixed 2-D sine-cosine position table, f32 `[1, T, D]`: the first half of a token's features comes
/// from its column, the second from its row, each as sines then cosines (MAE's convention, as in DiT).
pub(super) fn position_table(c: &Config) -> Result<Tensor, TchError> {
    let grid = (c.input_size / c.patch_size) as usize;
    let d = c.hidden_size as usize;
    let quarter = d / 4;
    let mut table = Vec::with_capacity(grid * grid * d);
    for row in 0..grid {
        for column in 0..grid {
            for position in [column, row] {
                let angle = |k: usize| position as f64 * 10_000f64.powf(-(k as f64) / quarter as f64);
                table.extend((0..quarter).map(|k| angle(k).sin()));
                table.extend((0..quarter).map(|k| angle(k).cos()));
            }
        }
    }
    Tensor::f_from_slice(&table)?.f_to_kind(Kind::Float)?.f_view([1, (grid * grid) as i64, d as i64])
}
