"""Where a gate should leave, by a table of errors and costs, and its loss: a part of `training_losses.py`."""

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

LAMBDAS = {"gate_0": 0.0, "gate_0p1": 0.1, "gate_1": 1.0}


def cases_and_tensors():
    """Cases and tensors of the gate."""
    rng = np.random.default_rng(5)
    images, depths = 6, 5
    # Errors fall with depth, at a pace of their own for each image, and not always.
    pace = np.array([0.01, 0.2, 1.0, 1.5, 3.0, 0.0])[:, None]
    errors = 0.5 * np.exp(-pace * np.arange(depths)) + 0.02 * rng.random((images, depths))
    errors = errors.astype(np.float32)
    errors[5] = [0.5, 0.25, 0.125, 0.25, 0.125]
    costs = np.array([0.25, 0.3125, 0.5, 0.8125, 1.0], np.float32)
    linear_costs = (np.arange(1, depths + 1) / depths).astype(np.float32)
    logits = (2 * rng.standard_normal((images, depths - 1))).astype(np.float32)
    tensors = {"gate.errors": errors, "gate.costs": costs, "gate.linear_costs": linear_costs, "gate.logits": logits}
    cases = []
    for name, weight in LAMBDAS.items():
        target = cheapest(errors, weight * costs.astype(np.float64))
        linear_target = cheapest(errors, weight * np.arange(1, depths + 1) / depths)
        beta = weight / depths
        eco = np.argmax(-errors.astype(np.float64) - beta * np.arange(1, depths + 1), axis=1)
        assert (linear_target == eco).all(), name
        labels = (np.arange(depths - 1) >= target[:, None]).astype(np.float64)
        z = torch.from_numpy(logits.astype(np.float64)).requires_grad_()
        value = binary_cross_entropy_with_logits(z, torch.from_numpy(labels))
        (gradient,) = torch.autograd.grad(value, z)
        tensors |= {f"{name}.target": target, f"{name}.linear_target": linear_target}
        tensors |= {f"{name}.labels": labels.astype(np.float32), f"{name}.value": value.detach().numpy()}
        tensors[f"{name}.grad.logits"] = gradient.numpy().astype(np.float32)
        cases.append({"name": name, "lambda": weight, "beta": beta})
    targets = [tensors[f"{name}.target"] for name in LAMBDAS]
    assert all((a != b).any() for a, b in zip(targets, targets[1:])) and len(set(targets[1])) > 2, targets
    assert targets[0][5] == 2, "the shallower of two equals"
    return cases, tensors


def cheapest(errors, costs):
    """argmin_l (q_l + cost_l), [B] i64; the choice must be plain, or exactly a tie."""
    totals = errors.astype(np.float64) + costs
    first, second = np.sort(totals, axis=1)[:, :2].T
    assert ((second == first) | (second - first > 1e-4)).all(), totals
    return totals.argmin(axis=1)
