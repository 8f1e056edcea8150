"""The exit rule of AdaDiff's released code (Tang et al. 2024), on plain DiT.

That code runs every block and evaluates, after each, the output head and a certainty per patch; the output that
is taken is that of the first block at which the certainty, averaged over patches and over the batch, exceeds a
threshold, else the last one's. It does not stop there: all blocks and all heads run whatever the rule says.

These weights have no trained certainty estimators, so the certainty after block i is 1 − tanh|g_i − g_{i−1}|, g
being the head's output. It has the range and the target's form of AdaDiff's 1 − tanh|g_i − ε| and costs less than
the linear layer and sigmoid that it stands for. So the row's images are this stand-in's; its time is the rule's.
"""

import torch

from networks import Network

DEFAULT_THRESHOLD = 0.92  # AdaDiff's, for CIFAR-10 and ImageNet


class AdaDiffRule(Network):
    exact = False

    def __init__(self, name, model, threshold):
        super().__init__(name, model, len(model.blocks))
        self.threshold = self.given_threshold = threshold

    def begin(self, full=False):
        self.threshold = 1.0 if full else self.given_threshold  # no certainty exceeds 1

    def __call__(self, x, t, y):
        model = self.forward
        hidden = model.x_embedder(x) + model.pos_embed
        c = model.t_embedder(t) + model.y_embedder(y)
        outputs, certainties = [], []
        for block in model.blocks:
            hidden = block(hidden, c)
            outputs.append(model.final_layer(hidden, c))  # [R, T, p·p·C]
            if len(outputs) > 1:
                certainties.append((1 - torch.tanh((outputs[-1] - outputs[-2]).abs())).mean())
        depth = next((i for i, u in enumerate(certainties, start=2) if u.item() > self.threshold), self.depth)
        self.count.evaluations += len(x)
        self.count.blocks_run += len(x) * self.depth
        self.count.taken += len(x) * depth
        return model.unpatchify(outputs[depth - 1])
