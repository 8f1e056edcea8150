"""DiT in Meta's layout, as one function of a dict of tensors (Peebles & Xie 2022).

Keys are the released checkpoints'; the formulas are those of the paper: adaLN-Zero blocks, LayerNorm without
affine at eps 1e-6, tanh-GELU, time features cat[cos, sin] over 128 frequencies.
"""

import math

import torch
from torch.nn.functional import gelu, layer_norm, linear, silu


def shapes(c):
    """The shape of every tensor of a model of config `c`, by key."""
    d, p, depth = c["hidden_size"], c["patch_size"], c["depth"]
    mlp, tokens = c["mlp_ratio"] * d, (c["input_size"] // p) ** 2
    out = p * p * c["in_channels"] * (2 if c["learn_sigma"] else 1)
    found = {"pos_embed": (1, tokens, d), "y_embedder.embedding_table.weight": (c["num_classes"] + 1, d)}

    def layer(key, *weight):
        found[f"{key}.weight"] = weight
        found[f"{key}.bias"] = weight[:1]

    layer("x_embedder.proj", d, c["in_channels"], p, p)
    layer("t_embedder.mlp.0", d, 256)
    layer("t_embedder.mlp.2", d, d)
    for i in range(depth):
        layer(f"blocks.{i}.attn.qkv", 3 * d, d)
        layer(f"blocks.{i}.attn.proj", d, d)
        layer(f"blocks.{i}.mlp.fc1", mlp, d)
        layer(f"blocks.{i}.mlp.fc2", d, mlp)
        layer(f"blocks.{i}.adaLN_modulation.1", 6 * d, d)
    layer("final_layer.linear", out, d)
    layer("final_layer.adaLN_modulation.1", 2 * d, d)
    return found


def time_features(t):
    """t [B] to [B, 256], in t's type: cosines, then sines. Meta's code has t in float32."""
    frequencies = torch.exp(-math.log(1e4) * torch.arange(128, dtype=t.dtype) / 128)
    angles = t[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def time_embedding(w, t):
    """t [B] to [B, d]."""
    features = time_features(t).to(w["t_embedder.mlp.0.weight"].dtype)
    return dense(w, "t_embedder.mlp.2", silu(dense(w, "t_embedder.mlp.0", features)))


def states(w, c, x, t, y, skip=None):
    """The state before block 0 and after each block [B, T, d], and the conditioning [B, d]."""
    h = torch.conv2d(x, w["x_embedder.proj.weight"], w["x_embedder.proj.bias"], stride=c["patch_size"])
    h = h.flatten(2).transpose(1, 2) + w["pos_embed"]
    cond = time_embedding(w, t) + w["y_embedder.embedding_table.weight"][y]
    found = [h]
    for i in range(c["depth"]):
        if i != skip:
            h = block(w, f"blocks.{i}", c["num_heads"], h, cond)
        found.append(h)
    return found, cond


def block(w, key, heads, h, cond):
    modulation = dense(w, f"{key}.adaLN_modulation.1", silu(cond))[:, None]
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation.chunk(6, dim=-1)
    a = norm(h) * (1 + scale_a) + shift_a
    h = h + gate_a * attention(w, f"{key}.attn", heads, a)
    m = norm(h) * (1 + scale_m) + shift_m
    m = dense(w, f"{key}.mlp.fc2", gelu(dense(w, f"{key}.mlp.fc1", m), approximate="tanh"))
    return h + gate_m * m


def attention(w, key, heads, a):
    batch, tokens, d = a.shape
    qkv = dense(w, f"{key}.qkv", a).reshape(batch, tokens, 3, heads, d // heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [B, heads, T, d/heads]
    weights = (q @ k.transpose(-2, -1) / math.sqrt(d // heads)).softmax(dim=-1)
    return dense(w, f"{key}.proj", (weights @ v).transpose(1, 2).reshape(batch, tokens, d))


def final_layer(w, c, h, cond):
    """A state [B, T, d] to an output image [B, C or 2C, H, W]."""
    shift, scale = dense(w, "final_layer.adaLN_modulation.1", silu(cond))[:, None].chunk(2, dim=-1)
    patches = dense(w, "final_layer.linear", norm(h) * (1 + scale) + shift)
    side, p = c["input_size"] // c["patch_size"], c["patch_size"]
    patches = patches.reshape(len(h), side, side, p, p, -1)
    return torch.einsum("nhwpqc->nchpwq", patches).reshape(len(h), -1, side * p, side * p)


def dense(w, key, x):
    return linear(x, w[f"{key}.weight"], w[f"{key}.bias"])


def norm(h):
    return layer_norm(h, h.shape[-1:], eps=1e-6)
