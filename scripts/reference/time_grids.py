"""Which times a solver visits, and at which noise levels, by Hugging Face's rules."""

import diffusers
import numpy as np

import fixture_file

CLASSES = [
    "DDIM",
    "DDPM",
    "DPMSolverMultistep",
    "DPMSolverSinglestep",
    "EulerDiscrete",
    "EulerAncestralDiscrete",
    "HeunDiscrete",
    "UniPCMultistep",
]
SPACINGS = [("leading", 0), ("leading", 1), ("trailing", 0), ("linspace", 0)]
STEPS = [5, 7, 10, 20, 50]
BETAS = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}


def scheduler(name, spacing, offset):
    """The class at its defaults, or None where it cannot be given this spacing."""
    options = dict(BETAS)
    if name == "DPMSolverSinglestep":
        if spacing != "linspace":
            return None  # it has no such option: its spacing is always linspace
    else:
        options |= {"timestep_spacing": spacing, "steps_offset": offset}
    return getattr(diffusers, f"{name}Scheduler")(**options)


def main():
    cases, tensors, refused = [], {}, []
    for name in CLASSES:
        for spacing, offset in SPACINGS:
            for steps in STEPS:
                case = f"{name}/{spacing}/{offset}/{steps}"
                made = scheduler(name, spacing, offset)
                if made is None:
                    refused.append(case)
                    continue
                made.set_timesteps(steps)
                times = made.timesteps.numpy().astype(np.float64)
                tensors[f"{case}/timesteps"] = times
                sigmas = getattr(made, "sigmas", None)
                if sigmas is not None:
                    tensors[f"{case}/sigmas"] = sigmas.numpy().astype(np.float64)
                    assert len(sigmas) == len(times) + 1, case
                assert len(times) == (2 * steps - 1 if name == "HeunDiscrete" else steps), case
                cases.append(
                    {"name": case, "class": name, "spacing": spacing, "offset": offset, "steps": steps}
                    | {"evaluations": len(times), "timesteps": 1000}
                    | {"final": made.config.get("final_sigmas_type", "zero")}
                    | BETAS
                )
    more = {"tolerance_integer": "0", "refused": refused}
    fixture_file.write("time_grids", "time_grids.py", "1e-4", cases, tensors, **more)


if __name__ == "__main__":
    main()
