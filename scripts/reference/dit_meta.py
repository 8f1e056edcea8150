"""Two small DiTs in Meta's layout, and their outputs at every exit."""

import fixture_file
import hf_dit
import meta_dit
import random_model

TIMES = [0, 999, 500, 123.25]
MODELS = {
    "dit_meta_a": random_model.config(
        "meta", input_size=8, patch_size=2, in_channels=3, hidden_size=32, depth=3, num_heads=4, mlp_ratio=4,
        num_classes=5, learn_sigma=True,
    ),
    "dit_meta_b": random_model.config(
        "meta", input_size=12, patch_size=4, in_channels=1, hidden_size=48, depth=2, num_heads=3, mlp_ratio=2,
        num_classes=10, learn_sigma=False,
    ),
}  # fmt: skip


def output(w, c, inputs, skip=None):
    found, cond = meta_dit.states(w, c, *inputs, skip=skip)
    return meta_dit.final_layer(w, c, found[-1], cond)


def main():
    for seed, (name, c) in enumerate(MODELS.items(), start=10):
        w = random_model.weights(meta_dit.shapes(c), seed)
        x, t, y = inputs = random_model.inputs(c, TIMES, seed + 100)
        out = output(w, c, inputs)
        random_model.check_every_block_counts(out, [output(w, c, inputs, skip=i) for i in range(c["depth"])])

        hf = hf_dit.output(hf_dit.from_meta(w, c), *inputs)
        gap = random_model.relative(out, hf)
        assert gap < 1e-5, gap
        print(f"{name}: {gap:.1e} from the same weights in Hugging Face's class")

        found, cond = meta_dit.states(w, c, *inputs)
        exits = {f"exit/{i}": meta_dit.final_layer(w, c, found[i], cond) for i in range(1, c["depth"] + 1)}
        tensors = random_model.tensors(w, x, t, y, out=out, **exits)
        fixture_file.write(name, "dit_meta.py", "1e-5", [c], tensors)


if __name__ == "__main__":
    main()
