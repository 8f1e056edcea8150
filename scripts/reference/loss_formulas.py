"""The losses, each as a function of a `loss_network.Pass`; `training_losses.py` says what they are."""

import torch
from torch.nn.functional import layer_norm

import meta_dit
from loss_network import DEPTH, EXITS, patches


def simple(net):
    return net.error(net.exit(DEPTH)).mean()


def min_snr(net):
    return (net.given.min_snr * net.error(net.exit(DEPTH))).mean()


def errors_at_scheduled_depths(net):
    errors = torch.stack([net.error(net.exit(i)) for i in range(1, DEPTH + 1)])  # [N, B]
    return errors.gather(0, net.given.depth[None] - 1)[0]


def ase(net):
    return errors_at_scheduled_depths(net).mean()


def ase_min_snr(net):
    return (net.given.min_snr * errors_at_scheduled_depths(net)).mean()


def uem(net, target="noise"):
    total = 0
    for i in EXITS:
        goal = net.given.noise if target == "noise" else net.exit(DEPTH)
        label = net.sg(patches((net.exit(i) - goal).abs().tanh()).mean(dim=-1))
        u = net.uncertainty(i)
        net.shown |= {f"u.{i}": u, f"target.{i}": label}
        total = total + (u - label).square().mean()
    return total


def uem_full(net):
    return uem(net, "full")


def ual(net, with_gradient=False, head=None):
    total = 0
    for i in EXITS:
        u = net.uncertainty(i).mean(dim=1)
        u = u if with_gradient else net.sg(u)
        net.shown[f"u.{i}"] = u
        image = net.exit(i) if head is None else net.final(head(net, i))
        total = total + ((1 - u) * net.error(image)).mean()
    return total


def ual_grad(net):
    return ual(net, with_gradient=True)


def linear_head(net, i):
    w, h, key = net.w, net.hidden[i], f"head.{i}"
    normed = layer_norm(h, h.shape[-1:], w[f"{key}.norm.weight"], w[f"{key}.norm.bias"], eps=1e-6)
    return h + meta_dit.dense(w, f"{key}.linear", normed)


def head_linear(net):
    return ual(net, head=linear_head)


def deediff(net, uem_weight=1.0, ual_weight=1.0):
    total = simple(net) + uem_weight * uem(net) + ual_weight * ual(net)
    net.shown.clear()
    return total


def deediff_weighted(net):
    return deediff(net, uem_weight=0.5, ual_weight=2.0)


def released(net):
    total = 0
    for i in EXITS:
        label = net.sg(1 - patches((net.exit(i) - net.given.noise).abs().tanh()))
        c = net.certainty(i)
        net.shown |= {f"certainty.{i}": c, f"target.{i}": label}
        total = total + (c - label).square().mean()
    return total


def released_ual(net):
    means = torch.stack([net.certainty(i).mean() for i in EXITS])
    weight = net.sg(means / means.sum())
    net.shown["weight"] = weight
    return (weight * torch.stack([net.error(net.exit(i)).mean() for i in EXITS])).sum()
