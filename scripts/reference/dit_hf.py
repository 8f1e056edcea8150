"""Two small DiTs in Hugging Face's layout, run by Hugging Face's class as it is."""

import fixture_file
import hf_dit
import random_model

TIMES = [0, 999, 500, 123]
MODELS = {
    "dit_hf_a": random_model.config(
        "huggingface", input_size=8, patch_size=2, in_channels=3, hidden_size=32, depth=3, num_heads=4,
        mlp_ratio=4, num_classes=5, learn_sigma=True,
    ),
    "dit_hf_b": random_model.config(
        "huggingface", input_size=12, patch_size=4, in_channels=1, hidden_size=48, depth=2, num_heads=3,
        mlp_ratio=4, num_classes=10, learn_sigma=False,
    ),
}  # fmt: skip
EMBEDDERS = "norm1.emb."


def shapes(model):
    """The shape of every stored tensor; the position table is recomputed by the class and not among them."""
    found = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert "pos_embed.pos_embed" not in found
    return found


def share_embedders(w):
    """Released checkpoints hold one copy of the time and label embedders in each block, all equal."""
    for key in w:
        block, found, rest = key.partition(f".{EMBEDDERS}")
        if found:
            w[key] = w[f"transformer_blocks.0{found}{rest}"]


def main():
    for seed, (name, c) in enumerate(MODELS.items(), start=20):
        model = hf_dit.build(c)
        w = random_model.weights(shapes(model), seed)
        share_embedders(w)
        model.load_state_dict(w)
        x, t, y = inputs = random_model.inputs(c, TIMES, seed + 100)
        out = hf_dit.output(model, *inputs)
        random_model.check_every_block_counts(out, hf_dit.outputs_without_each_block(model, *inputs))
        fixture_file.write(name, "dit_hf.py", "1e-5", [c], random_model.tensors(w, x, t, y, out=out))


if __name__ == "__main__":
    main()
