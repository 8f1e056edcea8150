"""Runs a Hugging Face scheduler, unchanged, in float64.

The schedulers name float32 for their tables and coefficients, so 1 - alphas_cumprod near the image keeps
only three or four digits. Inside `wide_floats`, the scheduler's own module sees a `torch` and a `numpy` whose
float32 is float64; the formulas, their order and their special cases stay Hugging Face's.
"""

import sys
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch


class Wide:
    """A module as it is, except that its `float32` is its `float64`."""

    def __init__(self, module):
        self._module = module
        self.float32 = module.float64

    def __getattr__(self, name):
        return getattr(self._module, name)


@contextmanager
def wide_floats(scheduler_class):
    """Makes instances of `scheduler_class` that are built and stepped inside compute in float64."""
    module = sys.modules[scheduler_class.__module__]
    default = torch.get_default_dtype()
    with ExitStack() as stack:
        for name in ("torch", "np"):
            if hasattr(module, name):
                stack.enter_context(patch.object(module, name, Wide(getattr(module, name))))
        torch.set_default_dtype(torch.float64)
        stack.callback(torch.set_default_dtype, default)
        yield
