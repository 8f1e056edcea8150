"""Random weights and inputs for the parity models, and what every one of them must pass."""

import math

import numpy as np
import torch


def config(layout, **shape):
    """A model's config.json; `shape` holds what differs between models."""
    classes = shape["num_classes"]
    return {
        "family": "dit",
        "layout": layout,
        **shape,
        "null_class": classes,
        "diffusion": {
            "timesteps": 1000,
            "beta_schedule": "linear",
            "beta_start": 0.0001,
            "beta_end": 0.02,
            "prediction": "epsilon",
        },
        "x0_clip": "none",
        "value_range": [-1, 1],
        "labels": [f"class {k}" for k in range(classes)],
    }


def weights(shapes, seed):
    """Float64 tensors, all random, such that a layer keeps its input's scale.

    The values are exact in bfloat16: a model stored in that type is then the same model, and the fixture
    compresses to half.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for key, shape in shapes.items():
        if key.endswith("bias"):
            std = 0.25
        elif key == "pos_embed" or key.endswith("embedding_table.weight"):
            std = 0.7  # rows that are added, not multiplied
        else:
            std = 1 / math.sqrt(math.prod(shape[1:]))
        drawn = torch.from_numpy(rng.standard_normal(shape) * std)
        found[key] = drawn.to(torch.bfloat16).to(torch.float64)
    return found


def inputs(c, times, seed):
    """x [4, C, H, W], t [4] and y [4], the last label being the null class."""
    rng = np.random.default_rng(seed)
    shape = (4, c["in_channels"], c["input_size"], c["input_size"])
    x = torch.from_numpy(rng.standard_normal(shape, np.float32)).double()
    y = torch.tensor([0, c["num_classes"] - 1, 2, c["null_class"]])
    return x, torch.tensor(times, dtype=torch.float64), y


def check_every_block_counts(out, without):
    """`without[i]` is the output with block i skipped; a parity test must notice each."""
    assert out.abs().max() > 0.1, out.abs().max()
    for i, other in enumerate(without):
        change = relative(out, other)
        assert change > 1e-3, (i, change)


def relative(reference, other):
    """The largest difference, as a share of the largest reference value."""
    return float((other - reference).abs().max() / reference.abs().max())


def tensors(w, x, t, y, **outputs):
    """A fixture's tensors: weights and images in float32, times in float64, labels in int64."""
    found = {f"weights/{key}": value.numpy().astype(np.float32) for key, value in w.items()}
    found |= {"x": x.numpy().astype(np.float32), "t": t.numpy(), "y": y.numpy()}
    return found | {key: value.numpy().astype(np.float32) for key, value in outputs.items()}
