"""First-block cache: diffusers' own (`diffusers.hooks.apply_first_block_cache`), on `DiTTransformer2DModel`.

After the first block of an evaluation, the mean of |change of that block's residual since the last evaluation
that ran all blocks|, over the mean of that residual, is compared with a threshold: above it all blocks run,
otherwise the first block's output plus the other blocks' residual of that evaluation is taken for the last
block's output. Both means are over the whole batch: all images of a micro-batch go the same way.

diffusers' registry knows the class's blocks (`BasicTransformerBlock`), but the class lacks the mixin that names a
cache's context and resets it, so that is done here, through the hooks' registry.
"""

from diffusers.hooks import FirstBlockCacheConfig, apply_first_block_cache
from diffusers.hooks.hooks import HookRegistry

from networks import Network, hf_forward

DEFAULT_THRESHOLD = FirstBlockCacheConfig().threshold


class FirstBlockCache(Network):
    exact = False

    def __init__(self, name, model, depth, threshold):
        super().__init__(name, hf_forward(model), depth)
        apply_first_block_cache(model, FirstBlockCacheConfig(threshold=threshold))
        self.blocks = [HookRegistry.check_if_exists_or_initialize(block) for block in model.transformer_blocks]
        self.model_hooks = HookRegistry.check_if_exists_or_initialize(model)
        head = model.transformer_blocks[0]._diffusers_hook.get_hook("fbc_leader_block_hook")
        self.state = head.state_manager

    def begin(self, full=False):
        # The first evaluation after this runs every block in any case.
        self.state.reset()
        self.state.set_context("images")

    def __call__(self, x, t, y):
        out = self.forward(x, t, y)
        run = self.depth if self.state.get_state().should_compute else 1
        self.count.evaluations += len(x)
        self.count.blocks_run += len(x) * run
        return out
