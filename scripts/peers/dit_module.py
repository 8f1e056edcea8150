"""DiT as an eager PyTorch module, in the form in which Meta writes it (Peebles & Xie 2022).

Module names give the released checkpoints' keys. Attention is timm's: one qkv layer, heads split by a permute,
`scaled_dot_product_attention`.
"""

import math

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


def modulate(x, shift, scale):
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


class PatchEmbed(nn.Module):
    def __init__(self, channels, d, p):
        super().__init__()
        self.proj = nn.Conv2d(channels, d, p, stride=p)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)  # [B, T, d]


class TimestepEmbedder(nn.Module):
    def __init__(self, d, features=256):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(features, d), nn.SiLU(), nn.Linear(d, d))
        self.half = features // 2

    def forward(self, t):
        frequencies = torch.exp(-math.log(1e4) * torch.arange(self.half, dtype=torch.float32) / self.half)
        angles = t[:, None].float() * frequencies[None]
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1))


class LabelEmbedder(nn.Module):
    def __init__(self, rows, d):
        super().__init__()
        self.embedding_table = nn.Embedding(rows, d)

    def forward(self, y):
        return self.embedding_table(y)


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)

    def forward(self, x):
        b, t, d = x.shape
        qkv = self.qkv(x).reshape(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(b, t, d))


class Mlp(nn.Module):
    def __init__(self, d, inner):
        super().__init__()
        self.fc1 = nn.Linear(d, inner)
        self.act = nn.GELU(approximate="tanh")
        self.fc2 = nn.Linear(inner, d)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, d, heads, mlp_ratio):
        super().__init__()
        self.norm1 = nn.LayerNorm(d, elementwise_affine=False, eps=1e-6)
        self.attn = Attention(d, heads)
        self.norm2 = nn.LayerNorm(d, elementwise_affine=False, eps=1e-6)
        self.mlp = Mlp(d, mlp_ratio * d)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))

    def forward(self, x, c):
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.adaLN_modulation(c).chunk(6, dim=1)
        x = x + gate_a.unsqueeze(1) * self.attn(modulate(self.norm1(x), shift_a, scale_a))
        return x + gate_m.unsqueeze(1) * self.mlp(modulate(self.norm2(x), shift_m, scale_m))


class FinalLayer(nn.Module):
    def __init__(self, d, p, channels):
        super().__init__()
        self.norm_final = nn.LayerNorm(d, elementwise_affine=False, eps=1e-6)
        self.linear = nn.Linear(d, p * p * channels)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(d, 2 * d))

    def forward(self, x, c):
        shift, scale = self.adaLN_modulation(c).chunk(2, dim=1)
        return self.linear(modulate(self.norm_final(x), shift, scale))


class DiT(nn.Module):
    """A model of the given `config.json`."""

    def __init__(self, c):
        super().__init__()
        d, p, channels = c["hidden_size"], c["patch_size"], c["in_channels"]
        self.side, self.p = c["input_size"] // p, p
        self.channels = channels * (2 if c["learn_sigma"] else 1)
        self.x_embedder = PatchEmbed(channels, d, p)
        self.t_embedder = TimestepEmbedder(d)
        self.y_embedder = LabelEmbedder(c["num_classes"] + 1, d)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.side**2, d), requires_grad=False)
        self.blocks = nn.ModuleList(Block(d, c["num_heads"], c["mlp_ratio"]) for _ in range(c["depth"]))
        self.final_layer = FinalLayer(d, p, self.channels)

    def forward(self, x, t, y):
        x = self.x_embedder(x) + self.pos_embed
        c = self.t_embedder(t) + self.y_embedder(y)
        for block in self.blocks:
            x = block(x, c)
        return self.unpatchify(self.final_layer(x, c))

    def unpatchify(self, x):  # [B, T, p·p·C]
        x = x.reshape(len(x), self.side, self.side, self.p, self.p, self.channels)
        x = torch.einsum("nhwpqc->nchpwq", x)
        return x.reshape(len(x), self.channels, self.side * self.p, self.side * self.p)
