"""Parameters under torch.optim.AdamW, step by step, with given gradients and a rate that changes."""

import math

import numpy as np
import torch

import fixture_file

STEPS = 20
SHAPES = [(4, 3), (5,)]
CASES = [
    {"name": "usual", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01},
    {"name": "decaying", "betas": [0.9, 0.99], "eps": 1e-8, "weight_decay": 0.5},
    {"name": "plain_adam", "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.0},
]


def main():
    cases, tensors = [], {}
    for seed, case in enumerate(CASES):
        generator = torch.Generator().manual_seed(seed)
        normal = lambda *shape: torch.randn(*shape, generator=generator)
        rates = [0.02 * (1 + math.cos(math.pi * step / STEPS)) for step in range(STEPS)]
        parameters = [torch.nn.Parameter(normal(*shape)) for shape in SHAPES]
        optimizer = torch.optim.AdamW(
            parameters, betas=case["betas"], eps=case["eps"], weight_decay=case["weight_decay"]
        )
        # Gradients of very different size, and zeros, which leave moments alone but not weights.
        scale = 10.0 ** torch.linspace(-6, 1, STEPS)
        for i, parameter in enumerate(parameters):
            gradients = scale.flip(0).view(-1, *[1] * parameter.dim()) * normal(STEPS, *parameter.shape)
            gradients[:, 0] = 0
            tensors[f"{case['name']}/gradients/{i}"] = gradients.numpy()
        trace = [[p.detach().numpy().copy() for p in parameters]]
        for step, rate in enumerate(rates):
            optimizer.param_groups[0]["lr"] = rate
            for i, parameter in enumerate(parameters):
                parameter.grad = torch.from_numpy(tensors[f"{case['name']}/gradients/{i}"][step])
            optimizer.step()
            trace.append([p.detach().numpy().copy() for p in parameters])
        for i in range(len(parameters)):
            tensors[f"{case['name']}/parameters/{i}"] = np.stack([at[i] for at in trace])
        cases.append(case | {"rates": rates, "tensors": len(SHAPES)})
    fixture_file.write("adamw", "adamw.py", "1e-6", cases, tensors)


if __name__ == "__main__":
    main()
