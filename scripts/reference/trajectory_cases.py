"""The sampling runs that `trajectories.py` records, as plain data."""

LINEAR = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
SCALED = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
STEPS = [5, 10, 20, 50]
LEADING, LEADING_1, TRAILING, LINSPACE = ("leading", 0), ("leading", 1), ("trailing", 0), ("linspace", 0)


def cases():
    """Every case, in the order in which the fixture lists them."""
    return [*ddim(), *ddpm(), *dpm_solver_multistep(), *dpm_solver_singlestep(), *sigma_space(), *unipc()]


def adapter_cases():
    """The solvers that offramp runs only through the diffusers crate, under that crate's fixed options."""
    found = []
    for betas in (LINEAR, SCALED):
        found += runs("lms", [LINSPACE], STEPS, betas, solver="lms", multistep_order=4)
        found += runs("pndm", [LEADING_1], STEPS, betas, solver="pndm", skip_prk_steps=True, final="sigma_min")
        found += runs("k_dpm_2", [LINSPACE], STEPS, betas, solver="k_dpm_2")
    return found


def runs(label, grids, steps, betas=LINEAR, **settings):
    """One case for each grid and number of steps."""
    for spacing, offset in grids:
        for count in steps:
            short = "" if betas is LINEAR else "-scaled_linear"
            yield (
                {"name": f"{label}{short}-{spacing}{offset}-{count}", "spacing": spacing, "offset": offset}
                | {"steps": count, "timesteps": 1000, "prediction": "epsilon", "final": "zero", "clip": "none"}
                | betas
                | settings
            )


def ddim():
    grids = [LEADING, LEADING_1, TRAILING]
    plain = {"solver": "ddim", "eta": 0.0}
    yield from runs("ddim", grids, STEPS, **plain)
    yield from runs("ddim-sigma_min", grids, STEPS, **plain, final="sigma_min")
    yield from runs("ddim-eta1", grids, STEPS, solver="ddim", eta=1.0)
    yield from runs("ddim-sigma_min", [LEADING_1], [10, 20], SCALED, **plain, final="sigma_min")
    for prediction in ("v_prediction", "sample"):
        yield from runs(f"ddim-{prediction}", [LEADING, TRAILING], [10], **plain, prediction=prediction)
    clipped = {"clip": "range", "clip_range": 1.0, "eps_from_clipped": True}
    yield from runs("ddim-clip", [LEADING, TRAILING], [10], **plain, **clipped)


def ddpm():
    for variance in ("fixed_small", "fixed_large", "learned_range"):
        yield from runs(f"ddpm-{variance}", [LEADING], STEPS, solver="ddpm", variance=variance)


def dpm_solver_multistep():
    grids = [LINSPACE, TRAILING]
    plain = {"solver": "dpm_solver_multistep", "solver_type": "midpoint", "lower_order_final": True}
    plus = plain | {"algorithm": "dpmsolver++"}
    for order in (1, 2, 3):
        yield from runs(f"dpmpp{order}m", grids, STEPS, **plus, order=order)
    yield from runs("dpmpp2m-sigma_min", grids, STEPS, **plus, order=2, final="sigma_min")
    for order in (2, 3):
        settings = plain | {"algorithm": "dpmsolver", "order": order, "final": "sigma_min"}
        yield from runs(f"dpm{order}m-sigma_min", grids, STEPS, **settings)
    yield from runs("sde-dpmpp2m", grids, STEPS, **plain, algorithm="sde-dpmsolver++", order=2)
    yield from runs("dpmpp2m", [LEADING_1, LINSPACE], [10, 20], SCALED, **plus, order=2)
    for prediction in ("v_prediction", "sample"):
        yield from runs(f"dpmpp2m-{prediction}", [LINSPACE], [10], **plus, order=2, prediction=prediction)
    dynamic = {"clip": "dynamic", "dynamic_ratio": 0.9, "dynamic_max": 1.5}
    yield from runs("dpmpp2m-dynamic", [LINSPACE], [10], **plus, order=2, **dynamic)


def dpm_solver_singlestep():
    plain = {"solver": "dpm_solver_singlestep", "solver_type": "midpoint"}
    for order in (2, 3):
        settings = plain | {"algorithm": "dpmsolver", "order": order, "final": "sigma_min"}
        yield from runs(f"dpm{order}s-sigma_min", [LINSPACE], STEPS, **settings)
        yield from runs(f"dpmpp{order}s", [LINSPACE], STEPS, **plain, algorithm="dpmsolver++", order=order)


def sigma_space():
    for solver in ("euler", "euler_ancestral", "heun"):
        yield from runs(solver, [LINSPACE, TRAILING], STEPS, solver=solver)
        yield from runs(solver, [LEADING_1], [10], SCALED, solver=solver)


def unipc():
    plain = {"solver": "unipc", "lower_order_final": True}
    for order in (1, 2, 3):
        settings = plain | {"order": order}
        yield from runs(f"unipc{order}-bh2", [LINSPACE, TRAILING], STEPS, **settings, solver_type="bh2")
        # With the final sigma at zero, bh1 multiplies infinity by zero in Hugging Face's code.
        settings |= {"solver_type": "bh1", "final": "sigma_min"}
        yield from runs(f"unipc{order}-bh1-sigma_min", [LINSPACE, TRAILING], STEPS, **settings)
    yield from runs("unipc2-bh2", [LEADING_1], [10], SCALED, **plain, order=2, solver_type="bh2")
