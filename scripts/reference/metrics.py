"""Distances between sets of features and between images, by the programs that define them.

Fréchet distances by pytorch-fid's formula (SciPy's sqrtm) and, with 60 digits, by the eigenvalues of a Gram
matrix; KID and Inception Score by torch-fidelity; precision, recall, density and coverage by their definitions
on a full matrix of distances; SSIM and PSNR by scikit-image.
"""

import warnings

import mpmath
import numpy as np
import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch_fidelity import metric_isc, metric_kid, metric_prc

import fixture_file

KERNEL = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}


def main():
    warnings.simplefilter("ignore", DeprecationWarning)
    frechet()
    kid()
    manifold()
    inception_score()
    paired()
    statistics()


def features(rng, n, d, shift=0.0, spread=1.0, dead=0):
    """Correlated, positive, with variances over two decades, as behind a ReLU; `dead` columns are zero."""
    mix = rng.standard_normal((d, d)) * spread * np.logspace(0, -1, d)
    x = np.abs(rng.standard_normal((n, d)) @ mix + shift)
    x[:, d - dead :] = 0
    return x.astype(np.float32)


def exact_trace(a, b):
    """tr (Σa Σb)^½ as the sum of singular values of Fa Fbᵀ, F the centred features; 60 digits."""
    mpmath.mp.dps = 60
    centred = []
    for x in (a, b):
        x = mpmath.matrix(x.astype(np.float64).tolist())
        means = [mpmath.fsum(x[i, j] for i in range(x.rows)) / x.rows for j in range(x.cols)]
        centred.append(mpmath.matrix([[x[i, j] - means[j] for j in range(x.cols)] for i in range(x.rows)]))
    fa, fb = centred
    if min(fa.rows, fb.rows) < fa.cols:
        m = fa * fb.T if fa.rows <= fb.rows else fb * fa.T
        values = mpmath.mp.eigsy(m * m.T, eigvals_only=True)
    else:
        lower = mpmath.cholesky(fa.T * fa)
        values = mpmath.mp.eigsy(lower.T * (fb.T * fb) * lower, eigvals_only=True)
    root = mpmath.fsum(mpmath.sqrt(v) for v in values if v > 0)
    return root / mpmath.sqrt((fa.rows - 1) * (fb.rows - 1)), fa, fb


def exact_distance(a, b):
    root, fa, fb = exact_trace(a, b)
    trace = sum(mpmath.fsum(v * v for v in f) / (f.rows - 1) for f in (fa, fb))
    means = [[mpmath.fsum(map(mpmath.mpf, column)) / len(x) for column in x.T.astype(float).tolist()] for x in (a, b)]
    shift = mpmath.fsum((p - q) ** 2 for p, q in zip(*means))
    return float(shift + trace - 2 * root)


def frechet():
    rng = np.random.default_rng(1)
    cases, tensors = [], {}
    for name, n, m, d, dead in [
        ("more_images", 200, 180, 16, 0),
        ("many_dimensions", 150, 130, 48, 0),
        ("singular", 20, 30, 64, 0),
        ("one_singular", 24, 150, 64, 0),
        ("two_images", 2, 2, 8, 0),
        ("dead_features", 90, 100, 24, 6),
    ]:
        a, b = features(rng, n, d, dead=dead), features(rng, m, d, shift=0.3, dead=dead)
        moments = [f(x.astype(np.float64), **k) for x in (a, b) for f, k in ((np.mean, {"axis": 0}), (np.cov, {"rowvar": False}))]
        scipy = calculate_frechet_distance(*moments)
        # 60 digits take minutes where the matrix is large; there SciPy's formula is well conditioned.
        exact = exact_distance(a, b) if min(n, m, d) <= 24 and not dead else None
        cases.append({"name": name, "singular": min(n, m) <= d or dead > 0, "scipy": float(scipy), "exact": exact})
        tensors |= {f"{name}/a": a, f"{name}/b": b}
    fixture_file.write("metrics_frechet", "metrics.py", "1e-6", cases, tensors, tolerance_scipy_singular="1e-3")


def kid():
    rng = np.random.default_rng(2)
    a, b = features(rng, 90, 24, spread=0.2), features(rng, 70, 24, shift=0.1, spread=0.2)
    size, subsets, seed = 40, 6, 5
    # torch-fidelity draws from this generator in this order.
    draws = np.random.RandomState(seed)
    pairs = [(draws.choice(len(a), size, replace=False), draws.choice(len(b), size, replace=False)) for _ in range(subsets)]
    wide = [metric_kid.kernel_mmd(a[i].astype(float), b[j].astype(float), **KERNEL) for i, j in pairs]
    theirs = metric_kid.kid_features_to_metric(
        torch.from_numpy(a), torch.from_numpy(b), kid_subsets=subsets, kid_subset_size=size, rng_seed=seed, verbose=False, **KERNEL
    )
    tensors = {
        "a": a,
        "b": b,
        "left": np.array([i for i, _ in pairs]),
        "right": np.array([j for _, j in pairs]),
        "mmd": np.array(wide),
    }
    case = {
        "mean_f32": theirs[metric_kid.KEY_METRIC_KID_MEAN],
        "deviation_f32": theirs[metric_kid.KEY_METRIC_KID_STD],
    }
    fixture_file.write("metrics_kid", "metrics.py", "1e-6", [case], tensors)


def manifold():
    rng = np.random.default_rng(3)
    cases, tensors = [], {}
    plain = features(rng, 150, 12), features(rng, 140, 12, shift=0.1)
    # Copies inside a set and across the sets: radii of zero, and images exactly on a ball's surface.
    drawn, real = (x.copy() for x in plain)
    drawn[10:18], real[20:28], drawn[30:60], real[60:64] = drawn[:1], real[1:2], real[30:60], drawn[50:54]
    # Far from the origin, where ‖x‖² + ‖y‖² − 2x·y keeps few digits.
    far = tuple((x * 1e-3 + 1000).astype(np.float32) for x in plain)
    # Whole numbers: many distances are equal.
    whole = rng.integers(0, 3, (120, 6)).astype(np.float32), rng.integers(0, 3, (130, 6)).astype(np.float32)
    for name, (drawn, real) in {"plain": plain, "copies": (drawn, real), "far": far, "whole": whole}.items():
        squared = lambda x, y: ((x[:, None].astype(float) - y[None].astype(float)) ** 2).sum(-1)
        # The k-th neighbour that is not the image itself, which comes first.
        radius = lambda x, k: np.sort(squared(x, x), axis=1)[:, k]
        across = squared(real, drawn)
        case = {
            "name": name,
            "precise": int((across <= radius(real, 3)[:, None]).any(0).sum()),
            "recalled": int((across <= radius(drawn, 3)[None]).any(1).sum()),
            "pairs_within": int((across < radius(real, 5)[:, None]).sum()),
            "covered": int((across.min(1) < radius(real, 5)).sum()),
        }
        if name == "plain":
            theirs = metric_prc.prc_features_to_metric(
                torch.from_numpy(drawn).double(), torch.from_numpy(real).double(),
                prc_neighborhood=3, prc_batch_size=1000, save_cpu_ram=False, verbose=False,
            )
            assert abs(theirs["precision"] * len(drawn) - case["precise"]) < 1e-3
            assert abs(theirs["recall"] * len(real) - case["recalled"]) < 1e-3
        cases.append(case)
        tensors |= {f"{name}/drawn": drawn, f"{name}/real": real}
    fixture_file.write("metrics_manifold", "metrics.py", "0", cases, tensors)


def inception_score():
    rng = np.random.default_rng(4)
    logits = (3 * rng.standard_normal((120, 7))).astype(np.float32)
    splits = 10
    # Image i is in split i mod 10; torch-fidelity's splits are contiguous.
    order = np.concatenate([np.arange(k, len(logits), splits) for k in range(splits)])
    theirs = metric_isc.isc_features_to_metric(torch.from_numpy(logits[order]), splits=splits, shuffle=False)
    case = {"splits": splits, "mean": theirs[metric_isc.KEY_METRIC_ISC_MEAN], "deviation": theirs[metric_isc.KEY_METRIC_ISC_STD]}
    fixture_file.write("metrics_inception_score", "metrics.py", "1e-10", [case], {"logits": logits})


def small_ssim(x, y):
    """SSIM where no window lies inside along a side: mirrored there, cropped elsewhere."""
    options = {"sigma": 1.5, "truncate": 3.5, "mode": "reflect"}
    x, y = x.astype(float), y.astype(float)
    ux, uy = gaussian_filter(x, **options), gaussian_filter(y, **options)
    vx = gaussian_filter(x * x, **options) - ux * ux
    vy = gaussian_filter(y * y, **options) - uy * uy
    vxy = gaussian_filter(x * y, **options) - ux * uy
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    s = (2 * ux * uy + c1) * (2 * vxy + c2) / ((ux**2 + uy**2 + c1) * (vx + vy + c2))
    crop = tuple(slice(5, n - 5) if n > 10 else slice(None) for n in s.shape)
    return s[crop].mean()


def paired():
    rng = np.random.default_rng(5)
    cases, tensors = [], {}
    for name, shape in {
        "colour": (24, 20, 3),
        "grey": (28, 28, 1),
        "one_window": (11, 11, 1),
        "flat": (8, 30, 3),
        "small": (6, 5, 1),
        "tiny": (1, 2, 1),
    }.items():
        x = gaussian_filter(rng.uniform(0, 255, shape), (1, 1, 0)) * 2 - 127
        y = x + rng.normal(0, 20, shape)
        x, y = (np.clip(v, 0, 255).round().astype(np.uint8) for v in (x, y))
        if min(shape[:2]) >= 11:
            ssim = structural_similarity(
                x, y, channel_axis=2, gaussian_weights=True, use_sample_covariance=False, sigma=1.5, data_range=255
            )
            assert abs(ssim - np.mean([small_ssim(x[..., c], y[..., c]) for c in range(shape[2])])) < 1e-12
        else:
            ssim = np.mean([small_ssim(x[..., c], y[..., c]) for c in range(shape[2])])
        rmse = np.sqrt(((x / 127.5 - y / 127.5) ** 2).mean())
        assert rmse > 0.01
        psnr = peak_signal_noise_ratio(x, y, data_range=255)
        cases.append({"name": name, "ssim": float(ssim), "rmse": float(rmse), "psnr": float(psnr)})
        tensors |= {f"{name}/x": x.astype(np.int64), f"{name}/y": y.astype(np.int64)}
    fixture_file.write("metrics_paired", "metrics.py", "1e-10", cases, tensors)


def statistics():
    """Statistics as pytorch-fid writes them."""
    x = features(np.random.default_rng(6), 50, 8)
    mu, sigma = x.astype(float).mean(0), np.cov(x.astype(float), rowvar=False)
    tensors = {"features": x, "mu": mu, "sigma": sigma}
    fixture_file.write("metrics_statistics", "metrics.py", "1e-12", [{"n": len(x)}], tensors)
    np.savez_compressed(fixture_file.FIXTURES / "metrics_statistics.npz", mu=mu, sigma=sigma)


if __name__ == "__main__":
    main()
