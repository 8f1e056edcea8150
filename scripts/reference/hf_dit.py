"""Hugging Face's `DiTTransformer2DModel`: building one, and giving it weights in Meta's layout."""

import diffusers
import torch
from diffusers.models.attention import FeedForward
from diffusers.models.embeddings import Timesteps


def build(c, norm_eps=1e-5):
    """The class at config `c`, float64, in evaluation mode."""
    model = diffusers.DiTTransformer2DModel(
        num_attention_heads=c["num_heads"],
        attention_head_dim=c["hidden_size"] // c["num_heads"],
        in_channels=c["in_channels"],
        out_channels=c["in_channels"] * (2 if c["learn_sigma"] else 1),
        num_layers=c["depth"],
        sample_size=c["input_size"],
        patch_size=c["patch_size"],
        num_embeds_ada_norm=c["num_classes"],
        norm_eps=norm_eps,
    )
    return model.double().eval()


@torch.no_grad()
def output(model, x, t, y):
    """The model's image; t must be whole numbers unless its time features were replaced."""
    whole = t.long()
    return model(x, timestep=whole if torch.equal(whole.double(), t) else t, class_labels=y).sample


@torch.no_grad()
def outputs_without_each_block(model, x, t, y):
    """One output for every block, that block skipped: its two branches give zeros."""
    found = []
    for block in model.transformer_blocks:
        hooks = [part.register_forward_hook(lambda _m, _i, out: out * 0) for part in (block.attn1, block.ff)]
        found.append(output(model, x, t, y))
        for hook in hooks:
            hook.remove()
    return found


def from_meta(w, c):
    """A model that computes Meta's function with Meta-layout weights `w`.

    Two things differ from the class as it is: the norm before the MLP has eps 1e-6, and the time frequencies
    divide by 128, not 127.
    """
    model = build(c, norm_eps=1e-6)
    renamed = {}

    def move(new, old, rows=slice(None)):
        for kind in ("weight", "bias"):
            renamed[f"{new}.{kind}"] = w[f"{old}.{kind}"][rows]

    move("pos_embed.proj", "x_embedder.proj")
    move("proj_out_1", "final_layer.adaLN_modulation.1")
    move("proj_out_2", "final_layer.linear")
    d = c["hidden_size"]
    for i, block in enumerate(model.transformer_blocks):
        block.norm1.emb.time_proj = Timesteps(256, True, 0)
        if c["mlp_ratio"] != 4:  # the class has no such option
            inner = c["mlp_ratio"] * d
            block.ff = FeedForward(d, activation_fn="gelu-approximate", inner_dim=inner).double().eval()
        old, new = f"blocks.{i}", f"transformer_blocks.{i}"
        move(f"{new}.norm1.emb.timestep_embedder.linear_1", "t_embedder.mlp.0")
        move(f"{new}.norm1.emb.timestep_embedder.linear_2", "t_embedder.mlp.2")
        table = "embedding_table.weight"
        renamed[f"{new}.norm1.emb.class_embedder.{table}"] = w[f"y_embedder.{table}"]
        move(f"{new}.norm1.linear", f"{old}.adaLN_modulation.1")
        for part, name in enumerate(("to_q", "to_k", "to_v")):
            move(f"{new}.attn1.{name}", f"{old}.attn.qkv", slice(part * d, (part + 1) * d))
        move(f"{new}.attn1.to_out.0", f"{old}.attn.proj")
        move(f"{new}.ff.net.0.proj", f"{old}.mlp.fc1")
        move(f"{new}.ff.net.2", f"{old}.mlp.fc2")
    model.load_state_dict(renamed)
    model.pos_embed.pos_embed.copy_(w["pos_embed"])
    return model
