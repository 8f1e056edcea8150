"""Every training loss on fixed tensors: its value, and its gradient by each parameter that it touches.

The model is a DiT of depth N = 3, all of its tensors drawn at random, on B = 6 images [C, H, W] = [2, 8, 8] with
patches of p = 2, T = 16 tokens, d = 8. Everything is worked out in float64, except that the time features are
made in float32, as in Meta's code and ours: near t = 999 float32 moves them by 3e-5. Depths are counted in blocks
that ran: L_i [B, T, d] is the state after i blocks, i = 1 … N; g_i [B, C, H, W] is the final layer on L_i; the
exits are the depths 1 … N − 1, and Σ_i is a sum over these, never a mean. "mean_b" and so on name the axes of a
mean: b the batch, τ the tokens, k the p·p·C numbers of a token, chw those of an image. sg is "no gradient".

Inputs, `input.*`: x0, noise (ε) [6, 2, 8, 8]; t [6] i64; class [6] i64, one of them null (3); by
x_t = √ᾱ x0 + √(1 − ᾱ) ε also x_t, and per image alphas_cumprod (ᾱ), snr = ᾱ/(1 − ᾱ), min_snr = min(snr, 5)/snr [6]
f64, and ase_depth [6] i64 = E[min(⌊t/100⌋, 9)], E being in the case. ᾱ and what follows from it need float64:
in float32, 1 − ᾱ at t = 0 has three digits. Known results, `network.*`: temb [6, d], the time embedder's
output, before the label is added; hidden.i (L_i) and exit.i (g_i).

Weights are `weights/KEY` for the DiT (config in the metadata) and `exits/KEY` for what belongs to exit i:

    uncertainty.i.weight [1, 2d], .bias [1]        u_i = σ(W [L_i ; temb] + b)      [B, T]
    certainty.i.weight [p·p·C, d], .bias [p·p·C]   c_i = σ(W sg(L_i) + b)           [B, T, p·p·C]
    head.i.norm.weight, .norm.bias [d]; head.i.linear.weight [d, d], .linear.bias [d]
                                                   b_i = L_i + W LN(L_i) + b        [B, T, d], LN's eps 1e-6

A case is `CASE.value` (f64, one number), `CASE.grad.KEY` in the shape of the parameter, and `CASE.<more>`. A
parameter that has no `CASE.grad.KEY` gets no gradient in that case: it is frozen there, or above every exit that
the loss sees. One is left out for its size: t_embedder.mlp.0.weight is there in `ddpm` and `deediff` only.

| case | value | gradient by |
|---|---|---|
| ddpm | mean_b mean_chw (g_N − ε)² | the network |
| min_snr | mean_b min_snr · mean_chw (g_N − ε)²; the weights are not normalised | the network |
| ase | mean_b mean_chw (g_E(t) − ε)²: each image at its own depth | the network, less t_embedder |
| ase_min_snr | mean_b min_snr · mean_chw (g_E(t) − ε)² | the network, less t_embedder |
| uem | Σ_i mean_b mean_τ (u_i − û_i)², û_i = sg(mean_k tanh\\|g_i − ε\\|) | uncertainty |
| uem_tuned | the same | uncertainty, and the network through L_i and temb |
| uem_full, uem_full_tuned | the same with û_i = sg(mean_k tanh\\|g_i − g_N\\|) | as above |
| ual | Σ_i mean_b (1 − sg(mean_τ u_i)) · mean_chw (g_i − ε)² | the network |
| ual_grad | the same without sg | the network, uncertainty |
| deediff | ddpm + λ uem_tuned + β ual, λ = β = 1 | the network, uncertainty |
| deediff_weighted | the same, λ = 0.5, β = 2 | the network, uncertainty |
| released | Σ_i mean_b mean_τ mean_k (c_i − ĉ_i)², ĉ_i = sg(1 − tanh\\|g_i − ε\\|) | certainty |
| released_ual | Σ_i ω_i · mean_b mean_chw (g_i − ε)², ω_i = sg(c̄_i / Σ_j c̄_j) | the network |
| head_linear | ual with g_i = the final layer on b_i; u_i is that of L_i | head |
| gate_0, gate_0p1, gate_1 | mean_b mean_l BCE-with-logits(z, z*), below | logits |

The k of ĉ_i are in the order of the final layer's output: row in the patch, column, channel. c̄_i is
mean_b mean_τ mean_k c_i.

More of a case: uem* have u.i and target.i (û_i) [6, 16]; ual* have u.i [6], the mean over tokens; released has
certainty.i and target.i [6, 16, 8]; released_ual has weight [N − 1] = ω.

The gate is by itself: errors q [6, 5] of five depths, their costs [5], logits z [6, 4] of all but the last, where
nothing is left to decide (`gate.*`). Per image, target [6] i64 = argmin_l (q_l + λ·cost_l), columns from 0 and the
shallowest of equals (row 5 has equals at λ = 0); labels z*_l = 1[l ≥ target] [6, 4]. linear_target is the same
with `gate.linear_costs` = (l + 1)/5, and equals ECO-M2F's argmax_k (−q_k − β k), k = 1 … 5, at β = λ/5.

Sources: Ho et al. 2020 (arXiv 2006.11239); Hang et al. 2023 (min-SNR, 2303.09556); Moon et al. 2024 (ASE,
2408.05927); Tang et al. 2024 (DeeDiff, 2309.17074), whose norms are read as means; Regol et al. 2024 (JEI-DNN);
Yao et al. 2024 (ECO-M2F).
"""

import numpy as np
import torch

import fixture_file
import gate_targets
import loss_formulas
import meta_dit
import random_model
from loss_network import ASE_DEPTHS, CONFIG, DEPTH, EXITS, MIN_SNR_GAMMA, Inputs, NoGradient, Pass, exit_shapes

HUGE, HUGE_ONLY_IN = "t_embedder.mlp.0.weight", ("ddpm", "deediff")


def network(key):
    return key in meta_dit.shapes(CONFIG)


def all_but_time(key):
    return network(key) and not key.startswith("t_embedder.")


def uncertainty(key):
    return key.startswith("uncertainty.")


def certainty(key):
    return key.startswith("certainty.")


def head(key):
    return key.startswith("head.")


def both(key):
    return network(key) or uncertainty(key)


# The loss, which parameters are trained, and what a reader of the fixture should know.
CASES = {
    "ddpm": (loss_formulas.simple, network, {}),
    "min_snr": (loss_formulas.min_snr, network, {"gamma": MIN_SNR_GAMMA}),
    "ase": (loss_formulas.ase, all_but_time, {"depths": ASE_DEPTHS}),
    "ase_min_snr": (loss_formulas.ase_min_snr, all_but_time, {"depths": ASE_DEPTHS, "gamma": MIN_SNR_GAMMA}),
    "uem": (loss_formulas.uem, uncertainty, {}),
    "uem_tuned": (loss_formulas.uem, both, {}),
    "uem_full": (loss_formulas.uem_full, uncertainty, {}),
    "uem_full_tuned": (loss_formulas.uem_full, both, {}),
    "ual": (loss_formulas.ual, network, {}),
    "ual_grad": (loss_formulas.ual_grad, both, {}),
    "deediff": (loss_formulas.deediff, both, {"lambda": 1.0, "beta": 1.0}),
    "deediff_weighted": (loss_formulas.deediff_weighted, both, {"lambda": 0.5, "beta": 2.0}),
    "released": (loss_formulas.released, certainty, {}),
    "released_ual": (loss_formulas.released_ual, network, {}),
    "head_linear": (loss_formulas.head_linear, head, {}),
}


def differentiate(loss, trained, weights, given):
    """The value, the gradients by key, and what the loss shows of itself; and its `sg`, to hold those values."""
    w = {key: value.detach().clone().requires_grad_(trained(key)) for key, value in weights.items()}
    sg = NoGradient()
    net = Pass(w, given, sg)
    value = loss(net)
    keys = [key for key in w if trained(key)]
    gradients = torch.autograd.grad(value, [w[key] for key in keys], allow_unused=True)
    found = {key: gradient for key, gradient in zip(keys, gradients, strict=True) if gradient is not None}
    return value.detach(), found, {key: shown.detach() for key, shown in net.shown.items()}, sg


def check_by_differences(name, loss, weights, given, gradients, sg):
    """Compares two entries of every gradient, the largest and a random one, with a difference quotient."""
    rng = np.random.default_rng(3)
    for key, gradient in gradients.items():
        largest = int(gradient.abs().argmax())
        for at in {largest, int(rng.integers(gradient.numel()))}:
            ends = []
            for step in (1e-5, -1e-5):
                moved = weights[key].clone()
                moved.view(-1)[at] += step
                with torch.no_grad():
                    ends.append(loss(Pass(weights | {key: moved}, given, sg.again())))
            quotient = float(ends[0] - ends[1]) / 2e-5
            gap = abs(quotient - float(gradient.view(-1)[at])) / float(gradient.abs().max())
            assert gap < 1e-5, (name, key, at, gap)


def float32_gap(loss, trained, weights, given, value, gradients):
    """How far float32 arithmetic is from the value and from any gradient, relative to the largest of each tensor."""
    low_value, low, *_ = differentiate(loss, trained, {k: w.float() for k, w in weights.items()}, given.single())
    pairs = [(value, low_value), *((gradients[key], low[key]) for key in gradients)]
    return max(random_model.relative(high, other.double()) for high, other in pairs)


def check_identities(found):
    """What must hold between cases."""
    total = lambda case: found[f"{case}.value"]  # noqa: E731
    close = lambda a, b: torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)  # noqa: E731
    close(total("deediff"), total("ddpm") + total("uem_tuned") + total("ual"))
    close(total("deediff_weighted"), total("ddpm") + 0.5 * total("uem_tuned") + 2 * total("ual"))
    close(total("ual"), total("ual_grad"))
    for name, value in found.items():
        case, _, key = name.partition(".grad.")
        if case in ("uem", "uem_full"):
            # Whether the state that an estimator sees is detached changes nothing for the estimator.
            close(value, found[f"{case}_tuned.{name.partition('.')[2]}"])
        if case == "deediff_weighted" and key:
            parts = [("ddpm", 1), ("uem_tuned", 0.5), ("ual", 2)]
            close(value, sum(scale * found.get(f"{part}.grad.{key}", 0) for part, scale in parts))


def stored(value):
    """float32 but for single numbers and noise levels, which keep float64."""
    array = value.detach().numpy()
    return array.astype(np.float32) if array.dtype == np.float64 else array


def main():
    given = Inputs()
    weights = random_model.weights(meta_dit.shapes(CONFIG) | exit_shapes(), seed=20)
    for i in EXITS:
        weights[f"head.{i}.norm.weight"] += 1  # LayerNorm's scale is drawn around one
    net = Pass(weights, given, NoGradient())
    cases, found, gaps = [], {}, {}
    for name, (loss, trained, more) in CASES.items():
        value, gradients, shown, sg = differentiate(loss, trained, weights, given)
        assert 1e-2 < value < 10, (name, value)
        assert all(1e-6 < g.abs().max() < 10 for g in gradients.values()), name
        check_by_differences(name, loss, weights, given, gradients, sg)
        gaps[name] = float32_gap(loss, trained, weights, given, value, gradients)
        assert gaps[name] < 3e-6, (name, gaps[name])
        found[f"{name}.value"] = value
        found |= {f"{name}.{key}": tensor for key, tensor in shown.items()}
        found |= {f"{name}.grad.{key}": tensor for key, tensor in gradients.items()}
        cases.append({"name": name} | more | {"float32_gap": float(f"{gaps[name]:.1e}")})
    check_identities(found)

    tensors = {f"{'weights' if network(key) else 'exits'}/{key}": stored(w) for key, w in weights.items()}
    tensors |= {f"input.{key}": stored(getattr(given, key)) for key in ("x0", "noise", "t", "x_t")}
    tensors |= {"input.class": given.y.numpy(), "input.ase_depth": given.depth.numpy()}
    tensors |= {"input.alphas_cumprod": given.alpha_bar.numpy(), "input.snr": given.snr.numpy()}
    tensors |= {"input.min_snr": given.min_snr.numpy(), "network.temb": stored(net.temb)}
    tensors |= {f"network.hidden.{i}": stored(net.hidden[i]) for i in range(1, DEPTH + 1)}
    tensors |= {f"network.exit.{i}": stored(net.exit(i)) for i in range(1, DEPTH + 1)}
    for name, value in found.items():
        case, _, key = name.partition(".grad.")
        if key != HUGE or case in HUGE_ONLY_IN:
            tensors[name] = value.numpy() if name.endswith(".value") else stored(value)
    more_cases, more_tensors = gate_targets.cases_and_tensors()
    fixture_file.write(
        "training_losses", "training_losses.py", "1e-5", cases + more_cases, tensors | more_tensors, config=CONFIG
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
