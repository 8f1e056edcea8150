"""Whole sampling runs of Hugging Face's schedulers on a model that is a formula.

`eps(x, t) = 0.8 x + 0.1 sin(3 x + t / 250)`, x always in the variance-preserving scale, kept in float64 between
steps. The stored run is the scheduler as it ships, with its float32 tables and coefficients. The same run with
those in float64 (see `wide_floats.py`) is made beside it: how far the two are apart, relative to the largest
|x|, stands in each case as `float32_gap`.
"""

import sys
from contextlib import nullcontext
from unittest.mock import patch

import diffusers
import numpy as np
import torch

import fixture_file
from trajectory_cases import adapter_cases, cases
from wide_floats import wide_floats

SHAPE = (2, 1, 3, 4)
CLASSES = {
    "ddim": diffusers.DDIMScheduler,
    "ddpm": diffusers.DDPMScheduler,
    "dpm_solver_multistep": diffusers.DPMSolverMultistepScheduler,
    "dpm_solver_singlestep": diffusers.DPMSolverSinglestepScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "euler_ancestral": diffusers.EulerAncestralDiscreteScheduler,
    "heun": diffusers.HeunDiscreteScheduler,
    "k_dpm_2": diffusers.KDPM2DiscreteScheduler,
    "lms": diffusers.LMSDiscreteScheduler,
    "pndm": diffusers.PNDMScheduler,
    "unipc": diffusers.UniPCMultistepScheduler,
}
SIGMA_SPACE = ("euler", "euler_ancestral", "heun", "k_dpm_2", "lms")


def normal(seed, *shape):
    """Standard normal numbers that float32 holds exactly, as float64."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, np.float32)).double()


def options(case):
    """The case in the scheduler's words."""
    solver = case["solver"]
    found = {k: case[k] for k in ("beta_schedule", "beta_start", "beta_end")}
    found |= {"num_train_timesteps": case["timesteps"], "prediction_type": case["prediction"]}
    if solver != "dpm_solver_singlestep":
        found |= {"timestep_spacing": case["spacing"], "steps_offset": case["offset"]}
    if solver in ("ddim", "ddpm"):
        found["clip_sample"] = case["clip"] == "range"
    if solver in ("ddim", "pndm"):
        found["set_alpha_to_one"] = case["final"] == "zero"
    if solver == "pndm":
        found["skip_prk_steps"] = case["skip_prk_steps"]
    if solver == "ddpm":
        found["variance_type"] = case["variance"]
    if "order" in case:
        found |= {"solver_order": case["order"], "solver_type": case["solver_type"]}
        found |= {"final_sigmas_type": case["final"]}
        found |= {"lower_order_final": case["lower_order_final"]} if "lower_order_final" in case else {}
    if "algorithm" in case:
        found["algorithm_type"] = case["algorithm"]
    if case["clip"] == "dynamic":
        found |= {"thresholding": True, "dynamic_thresholding_ratio": case["dynamic_ratio"]}
        found["sample_max_value"] = case["dynamic_max"]
    return found


def is_stochastic(case):
    return (
        case.get("eta", 0) > 0
        or case["solver"] in ("ddpm", "euler_ancestral")
        or case.get("algorithm", "").startswith("sde")
    )


def model_output(case, scheduler, x, t):
    """What a network of the case's kind would return for x at t."""
    eps = 0.8 * x + 0.1 * torch.sin(3 * x + t / 250)
    if case.get("variance") == "learned_range":
        return torch.cat([eps, 0.5 * torch.cos(x)], dim=1)
    if case["prediction"] == "epsilon":
        return eps
    alpha_bar = scheduler.alphas_cumprod[int(t)].double()
    alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    x0 = (x - sigma * eps) / alpha
    return x0 if case["prediction"] == "sample" else alpha * eps - sigma * x0


def run(case, wide):
    """The x at each evaluation and at the end [E+1, 24], the times [E], the noise [E, 24], the scheduler."""
    kind = CLASSES[case["solver"]]
    in_sigma_space = case["solver"] in SIGMA_SPACE
    with wide_floats(kind) if wide else nullcontext():
        scheduler = kind(**options(case))
        scheduler.set_timesteps(case["steps"])
        times = scheduler.timesteps
        noise = normal(2, len(times), *SHAPE)
        if case["final"] == "zero":
            noise[-1] = 0  # no noise is added to the image itself
        if not is_stochastic(case):
            noise[:] = 0

        x = normal(1, *SHAPE)
        if in_sigma_space:
            x = x * (1 + scheduler.sigmas[0].double() ** 2) ** 0.5
        path = []
        for e, t in enumerate(times):
            seen = scheduler.scale_model_input(x, t) if in_sigma_space else x
            path.append(seen)
            given = {}
            if case["solver"] == "ddim":
                given = {"eta": case["eta"], "use_clipped_model_output": case.get("eps_from_clipped", False)}
            if is_stochastic(case) and case["solver"] in ("ddim", "dpm_solver_multistep"):
                given["variance_noise"] = noise[e]
            if case["solver"] == "lms":
                given["order"] = case["multistep_order"]
            draw = lambda shape, **_: noise[e].reshape(shape)  # noqa: E731
            with patch.object(sys.modules[kind.__module__], "randn_tensor", draw, create=True):
                x = scheduler.step(model_output(case, scheduler, seen, float(t)), t, x, **given).prev_sample
        path.append(x)
    assert not in_sigma_space or scheduler.sigmas[-1] == 0
    flat = torch.stack(path).double().reshape(len(path), -1).numpy()
    return flat, times.double().numpy(), noise.reshape(len(times), -1).numpy(), scheduler


def record(fixture, cases):
    recorded, tensors = [], {}
    for case in cases:
        name = case["name"]
        x, times, noise, scheduler = run(case, wide=False)
        exact = run(case, wide=True)[0]
        gap = np.abs(x - exact).max() / np.abs(exact).max()
        assert gap < 5e-6, (name, gap)  # half the tolerance: a float64 solver must be able to pass
        if case["solver"] == "dpm_solver_singlestep":
            case |= {"lower_order_final": scheduler.config.lower_order_final, "orders": scheduler.order_list}
        tensors |= {f"{name}/x": x.astype(np.float32), f"{name}/t": times}
        if is_stochastic(case):
            tensors[f"{name}/noise"] = noise.astype(np.float32)
        recorded.append(case | {"evaluations": len(times), "float32_gap": float(f"{gap:.1e}")})
    fixture_file.write(fixture, "trajectories.py", "1e-5", recorded, tensors)


def main():
    record("trajectories", cases())
    record("trajectories_adapters", adapter_cases())


if __name__ == "__main__":
    main()
