"""Reads what offramp wrote with NumPy, Pillow and pytorch-fid, and prints what they saw as one JSON object.

    pytorch_fid_reads.py FOLDER IMAGES.npz A.npz B.npz THEIRS.npz

FOLDER holds PNGs, IMAGES.npz the same images as `arr_0`, A.npz and B.npz statistics of pixels, A's those of
FOLDER. pytorch-fid's own loader goes over FOLDER with a network that hands the pixels on; the statistics that
it finds are written to THEIRS.npz as pytorch-fid writes them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pytorch_fid import fid_score


class Pixels(torch.nn.Module):
    """Features are the red channel's pixels, row by row: all of a grey image."""

    def forward(self, batch):
        return [batch[:, 0].flatten(1)[:, :, None, None]]  # [B, H·W, 1, 1]


def statistics(path, dims):
    return fid_score.compute_statistics_of_path(str(path), Pixels(), 50, dims, "cpu", num_workers=0)


def main():
    folder, images, a, b, theirs = map(Path, sys.argv[1:])
    with np.load(images) as archive:
        array, labels = archive["arr_0"], archive["arr_1"]
    drawn = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.glob("*.png"))])
    dims = drawn[0].size
    own = statistics(folder, dims)
    read = statistics(a, dims)
    np.savez_compressed(theirs, mu=own[0], sigma=own[1])
    report = {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "labels": labels.tolist(),
        "npz_is_folder": bool((array.reshape(drawn.shape) == drawn).all()),
        "mean_error": float(np.abs(own[0] - read[0]).max()),
        "covariance_error": float(np.abs(own[1] - read[1]).max()),
        "frechet_distance": float(fid_score.calculate_frechet_distance(*read, *statistics(b, dims))),
    }
    print(json.dumps(report))


main()
