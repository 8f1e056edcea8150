"""A plain sampling loop around Hugging Face's schedulers, configured as offramp's solvers.

`solver` says which, in the words of `scripts/reference/trajectory_cases.py`, whose fixtures show that the two
agree: {"solver", "spacing", "offset", "final", …}. What the weights' config says of the diffusion is added here.

A predicted image is clipped as the config says (`x0_clip`), with the schedulers' own option where they have it:
DPM-Solver++ and UniPC through their thresholding (with a plain clamp in place of the quantile, so that they do not
pay for one), DDIM through `clip_sample` with `use_clipped_model_output`. Euler and Heun have none: the network's
output is replaced by the noise that the clipped image implies.
"""

import torch

from trajectories import CLASSES, SIGMA_SPACE, options

KNOWN = ("ddim", "dpm_solver_multistep", "euler", "heun", "unipc")


class Run:
    """Settings of one sampling run; the scheduler is made anew for each micro-batch."""

    def __init__(self, config, solver, steps, guidance):
        self.config, self.solver, self.steps, self.guidance = config, solver, steps, guidance
        if solver["solver"] not in KNOWN:
            raise ValueError(f"solver {solver['solver']}: peers run {', '.join(KNOWN)}")
        if guidance != 1.0 and config.get("null_class") is None:
            raise ValueError("guidance needs a null class, and these weights have none")
        self.scheduler = self.make_scheduler()

    def rows(self, images):
        """Rows of the network's batch."""
        return images if self.guidance == 1.0 else 2 * images

    def draw(self, network, noise, classes):
        """The images, [n, C, H, W]."""
        scheduler = self.scheduler
        scheduler.set_timesteps(self.steps)  # which forgets the last run
        x = noise * self.first_scale(scheduler)
        for t in scheduler.timesteps:
            x = self.step(scheduler, network, x, t, classes)
        return x

    def first_evaluation(self, network, noise, classes):
        """One step, for a network that is slow at first."""
        self.scheduler.set_timesteps(self.steps)
        self.step(self.scheduler, network, noise, self.scheduler.timesteps[0], classes)

    def step(self, scheduler, network, x, t, classes):
        seen = scheduler.scale_model_input(x, t)
        out = self.evaluate(network, seen, t, classes)
        given = {}
        if self.clips:
            if self.solver["solver"] == "ddim":
                given = {"use_clipped_model_output": True}
            elif self.in_sigma_space:
                sigma = scheduler.sigmas[scheduler.step_index]
                out = (x - self.clip(x - sigma * out)) / sigma
        return scheduler.step(out, t, x, return_dict=False, **given)[0]

    def evaluate(self, network, x, t, classes):
        """The network's output, guided, its variance channels cut off."""
        channels, t = x.shape[1], t.float()
        if self.guidance == 1.0:
            return network(x, t.repeat(len(x)), classes)[:, :channels]
        null = torch.full_like(classes, self.config["null_class"])
        both = network(torch.cat([x, x]), t.repeat(2 * len(x)), torch.cat([classes, null]))[:, :channels]
        conditional, unconditional = both.chunk(2)
        return unconditional + self.guidance * (conditional - unconditional)

    def first_scale(self, scheduler):
        """What turns noise of unit variance into the scheduler's first x.

        In sigma space √(1 + σ²), which is exact; the schedulers' own `init_noise_sigma` is σ for some spacings.
        """
        return (1 + scheduler.sigmas[0] ** 2) ** 0.5 if self.in_sigma_space else 1.0

    @property
    def in_sigma_space(self):
        return self.solver["solver"] in SIGMA_SPACE

    @property
    def clips(self):
        return self.config["x0_clip"] != "none"

    def clip(self, x0):
        low, high = self.config["value_range"]
        return x0.clamp(low, high)

    def make_scheduler(self):
        diffusion, solver = self.config["diffusion"], self.solver["solver"]
        case = {"clip": "none", "beta_start": 1e-4, "beta_end": 0.02} | diffusion | self.solver
        found = options(case)
        if self.clips:
            if self.config["x0_clip"] != "range":
                raise ValueError("x0_clip dynamic: peers clip to a range or not at all")
            if self.in_sigma_space and diffusion["prediction"] != "epsilon":
                raise ValueError(f"{solver} with x0_clip: peers do it for networks that predict noise only")
            if solver == "ddim":
                low, high = self.config["value_range"]
                if -low != high:
                    raise ValueError(f"value_range [{low}, {high}]: DDIMScheduler clips to ±a only")
                found |= {"clip_sample": True, "clip_sample_range": high}
            elif not self.in_sigma_space:
                found["thresholding"] = True
        if solver == "ddim" and not self.is_on_ddim_grid():
            raise ValueError(f"ddim, {self.solver['spacing']}, {self.steps} steps: DDIMScheduler leaves its own grid")
        scheduler = CLASSES[solver](**found)
        if found.get("thresholding"):
            scheduler._threshold_sample = self.clip
        scheduler.set_timesteps(self.steps)
        return scheduler

    def is_on_ddim_grid(self):
        """Whether a step of T/n, which is what DDIMScheduler takes, leads from each time to the next."""
        spacing, total = self.solver["spacing"], self.config["diffusion"]["timesteps"]
        return spacing == "leading" or (spacing == "trailing" and total % self.steps == 0)
