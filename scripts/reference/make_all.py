"""Rewrites every fixture under `tests/fixtures`."""

import warnings

import diffusers
import torch

import adamw
import dit_hf
import dit_meta
import extractors
import metrics
import noise_schedules
import time_grids
import training_losses
import trajectories


def main():
    # One thread: sums then run in one order, so that a second run gives the same bytes.
    torch.set_num_threads(1)
    # What is asked for is deprecated or adjusted on purpose here, and each case says so.
    warnings.simplefilter("ignore", FutureWarning)
    diffusers.logging.set_verbosity_error()
    scripts = (noise_schedules, time_grids, trajectories, dit_meta, dit_hf, metrics, adamw, training_losses, extractors)
    for script in scripts:
        script.main()


if __name__ == "__main__":
    main()
