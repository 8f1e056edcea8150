"""Betas and their cumulative products: the formulas in float64 beside Hugging Face's float32 tables."""

import numpy as np
from diffusers import DDPMScheduler

import fixture_file

CASES = [
    ("linear", "linear", 1000, 1e-4, 0.02),
    ("scaled_linear", "scaled_linear", 1000, 0.00085, 0.012),
    ("squaredcos_cap_v2", "squaredcos_cap_v2", 1000, None, None),
    ("sigmoid", "sigmoid", 1000, 1e-4, 0.02),
    ("linear_50", "linear", 50, 1e-4, 0.02),
    ("linear_4000", "linear", 4000, 1e-4, 0.02),
]


def betas(schedule, steps, start, end):
    """The `steps` values of beta, float64."""
    if schedule == "linear":
        return np.linspace(start, end, steps)
    if schedule == "scaled_linear":
        return np.linspace(start**0.5, end**0.5, steps) ** 2
    if schedule == "sigmoid":
        return start + (end - start) / (1 + np.exp(-np.linspace(-6, 6, steps)))
    # Nichol & Dhariwal 2021, eq. 17.
    u = np.arange(steps + 1) / steps
    alpha_bar = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], 0.999)


def main():
    cases, tensors = [], {}
    for name, schedule, steps, start, end in CASES:
        case = {"name": name, "beta_schedule": schedule, "timesteps": steps}
        if start is not None:
            case |= {"beta_start": start, "beta_end": end}
        limits = {k: v for k, v in case.items() if k in ("beta_start", "beta_end")}
        hf = DDPMScheduler(num_train_timesteps=steps, beta_schedule=schedule, **limits)
        table = betas(schedule, steps, start, end)
        tensors |= {
            f"{name}/betas_f64": table,
            f"{name}/alphas_cumprod_f64": np.cumprod(1 - table),
            f"{name}/betas_hf": hf.betas.numpy(),
            f"{name}/alphas_cumprod_hf": hf.alphas_cumprod.numpy(),
        }
        for what in ("betas", "alphas_cumprod"):
            gap = np.abs(tensors[f"{name}/{what}_f64"] - tensors[f"{name}/{what}_hf"]).max()
            assert gap < 2e-6, (name, what, gap)
        cases.append(case)
    fixture_file.write("noise_schedules", "noise_schedules.py", "1e-12", cases, tensors, tolerance_hf="2e-6")


if __name__ == "__main__":
    main()
