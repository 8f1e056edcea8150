"""The network and the batch on which `training_losses.py` records losses, and what a loss may ask of them."""

import numpy as np
import torch

import meta_dit
import noise_schedules
import random_model

CONFIG = random_model.config(
    "meta", input_size=8, patch_size=2, in_channels=2, hidden_size=8, depth=3, num_heads=2, mlp_ratio=2,
    num_classes=3, learn_sigma=False,
)  # fmt: skip
DEPTH = CONFIG["depth"]
EXITS = range(1, DEPTH)
TIMES = [0, 999, 500, 80, 299, 700]
CLASSES = [0, 1, 2, 3, 2, 0]
ASE_DEPTHS = [3, 3, 3, 2, 2, 2, 2, 1, 1, 1]  # by tenths of the training time
MIN_SNR_GAMMA = 5


class Inputs:
    """A batch, and what is known of its noise levels."""

    def __init__(self):
        rng = np.random.default_rng(21)
        shape = (len(TIMES), CONFIG["in_channels"], CONFIG["input_size"], CONFIG["input_size"])
        single = lambda values: torch.from_numpy(values.astype(np.float32)).double()  # noqa: E731
        self.x0, self.noise = single(rng.uniform(-1, 1, shape)), single(rng.standard_normal(shape))
        self.t, self.y = torch.tensor(TIMES), torch.tensor(CLASSES)
        betas = noise_schedules.betas("linear", 1000, 1e-4, 0.02)
        self.alpha_bar = torch.from_numpy(np.cumprod(1 - betas))[self.t]
        self.snr = self.alpha_bar / (1 - self.alpha_bar)
        self.min_snr = self.snr.clamp(max=MIN_SNR_GAMMA) / self.snr
        self.depth = torch.tensor(ASE_DEPTHS)[(self.t // 100).clamp(max=9)]
        image = lambda values: values.sqrt()[:, None, None, None]  # noqa: E731
        self.x_t = image(self.alpha_bar) * self.x0 + image(1 - self.alpha_bar) * self.noise

    def single(self):
        """The same in float32, rounded where a program that trains in float32 rounds."""
        found = object.__new__(Inputs)
        for key, value in vars(self).items():
            setattr(found, key, value.float() if value.is_floating_point() else value)
        return found


class NoGradient:
    """`sg`: what it passes on has no gradient.

    With `again`, the values of the last pass are passed on once more, in the same order, whatever comes in: a
    derivative worked out by differences then sees them held fixed.
    """

    def __init__(self):
        self.values, self.at, self.held = [], 0, False

    def again(self):
        self.at, self.held = 0, True
        return self

    def __call__(self, value):
        if not self.held:
            self.values.append(value.detach())
        self.at += 1
        return self.values[self.at - 1]


class Pass:
    """One run of the network at weights `w`: the states and every exit's image."""

    def __init__(self, w, given, sg):
        self.w, self.given, self.sg = w, given, sg
        t = given.t.float()
        self.temb = meta_dit.time_embedding(w, t)
        self.hidden, self.cond = meta_dit.states(w, CONFIG, given.x_t, t, given.y)  # hidden[i] is L_i
        self.shown = {}

    def exit(self, i):
        """g_i, [B, C, H, W]."""
        return self.final(self.hidden[i])

    def final(self, hidden):
        return meta_dit.final_layer(self.w, CONFIG, hidden, self.cond)

    def error(self, image):
        """mean_chw (g − ε)², [B]."""
        return (image - self.given.noise).square().mean(dim=(1, 2, 3))

    def uncertainty(self, i):
        """u_i, [B, T]."""
        temb = self.temb[:, None].expand(-1, self.hidden[i].shape[1], -1)
        seen = torch.cat([self.hidden[i], temb], dim=-1)
        return meta_dit.dense(self.w, f"uncertainty.{i}", seen).sigmoid().squeeze(-1)

    def certainty(self, i):
        """c_i, [B, T, p·p·C]."""
        return meta_dit.dense(self.w, f"certainty.{i}", self.sg(self.hidden[i])).sigmoid()


def patches(image):
    """[B, C, H, W] to [B, T, p·p·C], in the order of the final layer's output."""
    p = CONFIG["patch_size"]
    b, c, h, w = image.shape
    cut = image.reshape(b, c, h // p, p, w // p, p)
    return torch.einsum("nchpwq->nhwpqc", cut).reshape(b, -1, p * p * c)


def exit_shapes():
    """The shape of every tensor that belongs to an exit, by key."""
    d, p = CONFIG["hidden_size"], CONFIG["patch_size"]
    numbers, found = p * p * CONFIG["in_channels"], {}
    for i in EXITS:
        for key, weight in {"uncertainty": (1, 2 * d), "certainty": (numbers, d)}.items():
            found |= {f"{key}.{i}.weight": weight, f"{key}.{i}.bias": weight[:1]}
        found |= {f"head.{i}.norm.weight": (d,), f"head.{i}.norm.bias": (d,)}
        found |= {f"head.{i}.linear.weight": (d, d), f"head.{i}.linear.bias": (d,)}
    return found
