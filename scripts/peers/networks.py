"""The peers' networks: the same weights in other programs' hands.

| peer | what runs |
|---|---|
| `diffusers-eager` | Hugging Face's `DiTTransformer2DModel`, eager |
| `diffusers-compile` | the same under `torch.compile` |
| `plain-eager` | DiT as Meta writes it (`dit_module.py`), eager |
| `first-block-cache` | `DiTTransformer2DModel` under diffusers' own first-block cache |
| `adadiff-rule` | `dit_module.py` with the exit rule of AdaDiff's released code |

A network is called with x [R, C, H, W], times [R] and classes [R] and gives [R, C or 2C, H, W]. `begin` comes
before each micro-batch, and `begin(full=True)` before an evaluation that must run to the last block. Its `count` is
the caller's.
"""

from dataclasses import dataclass

import torch
import torch._dynamo
import torch._inductor.config
from safetensors.torch import load_file

import dit_module
import hf_dit


@dataclass
class Count:
    """Over rows: evaluations, blocks run for them, and the depths whose output was taken, where that differs."""

    evaluations: int = 0
    blocks_run: int = 0
    taken: int = 0


class Network:
    """A network whose every evaluation runs every block."""

    exact = True  # the images are the full-depth images, to rounding

    def __init__(self, name, forward, depth):
        self.name, self.forward, self.depth = name, forward, depth
        self.count = Count()

    def begin(self, full=False):
        pass

    def use_threads(self, threads):
        torch.set_num_threads(threads)

    def compiled_graphs(self):
        """How many it has compiled so far; a change means that the time in between is not the network's."""
        return 0

    def __call__(self, x, t, y):
        self.count.evaluations += len(x)
        self.count.blocks_run += len(x) * self.depth
        return self.forward(x, t, y)


class Compiled(Network):
    """A module under `torch.compile`, once for each shape and number of threads."""

    def __init__(self, name, model, depth):
        super().__init__(name, hf_forward(torch.compile(model, dynamic=False)), depth)

    def use_threads(self, threads):
        super().use_threads(threads)
        # The number is compiled in. Named here, it is also part of the key under which the result is kept on disk.
        torch._inductor.config.cpp.threads = threads

    def compiled_graphs(self):
        return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def make(text, folder, c):
    """The peer `NAME[:threshold=X]` with the weights of `folder`, whose config is `c`, in f32."""
    name, _, option = text.partition(":")
    threshold = None
    if option:
        key, _, value = option.partition("=")
        if key != "threshold" or name not in ("first-block-cache", "adadiff-rule"):
            raise ValueError(f"peer {text!r}: {name} has no option {key!r}")
        threshold = float(value)
    weights = {key: value.float() for key, value in load_file(folder / "model.safetensors").items()}
    depth = c["depth"]
    match name:
        case "diffusers-eager":
            return Network(text, hf_forward(hugging_face(weights, c)), depth)
        case "diffusers-compile":
            return Compiled(text, hugging_face(weights, c), depth)
        case "plain-eager":
            return Network(text, plain(weights, c), depth)
        case "first-block-cache":
            from first_block_cache import DEFAULT_THRESHOLD, FirstBlockCache

            threshold = DEFAULT_THRESHOLD if threshold is None else threshold
            return FirstBlockCache(text, hugging_face(weights, c), depth, threshold)
        case "adadiff-rule":
            from adadiff_rule import DEFAULT_THRESHOLD, AdaDiffRule

            return AdaDiffRule(text, plain(weights, c), DEFAULT_THRESHOLD if threshold is None else threshold)
    raise ValueError(
        f"peer {text!r} is unknown; known are diffusers-eager, diffusers-compile, plain-eager, first-block-cache, adadiff-rule"
    )


def hugging_face(weights, c):
    """`DiTTransformer2DModel` that computes the function of these weights."""
    if c.get("layout") == "huggingface":
        if c["mlp_ratio"] != 4:
            raise ValueError(f"mlp_ratio {c['mlp_ratio']}: Hugging Face's class has 4")
        model = hf_dit.build(c, norm_eps=c.get("norm_eps", 1e-5)).float()
        model.load_state_dict(weights)
        return model
    return hf_dit.from_meta(weights, c).float()


def hf_forward(model):
    return lambda x, t, y: model(x, timestep=t, class_labels=y, return_dict=False)[0]


def plain(weights, c):
    if c.get("layout") == "huggingface":
        raise ValueError("weights in Hugging Face's layout: this peer reads Meta's")
    model = dit_module.DiT(c)
    model.load_state_dict(weights)
    return model.eval()
