#!/usr/bin/env python3
"""The table of a model card: N images of the released weights, at full depth and with exits, against the real ones.

Draws every point (`offramp generate`; what is there already is kept), judges it by `offramp evaluate`, and prints
Markdown. Differences are paired: image k has the same seed and class in every point, and the interval is over
resamples of the images. Full depth is that of the backbone BEFORE any exit was trained.

    python3 scripts/release_table.py --n 10000 --steps 10 --before OLD-WEIGHTS --out out/release
"""

import argparse
import json
import subprocess
from pathlib import Path

REAL = "data:fashion-mnist/train"
HELD_OUT = "data:fashion-mnist/test"
FULL = "full depth"


def offramp(*words):
    """The last line that the command says, as JSON."""
    done = subprocess.run(["target/release/offramp", *words, "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"offramp {' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def draw(point, arguments):
    """The point's images as .npz, and the share of the block cost that they took."""
    name, weights, exit_spec, n = point
    folder = Path(arguments.out) / name.replace(" ", "-").replace(",", "")
    told = folder.with_suffix(".json")
    if not told.exists():
        words = ["generate", "--weights", weights, "--exit", exit_spec, "--class", "all", "--count", str(n)]
        words += ["--steps", str(arguments.steps), "--seed", "0", "--batch", "16", "--threads", "2"]
        words += ["--out", str(folder), "--npz", str(folder.with_suffix(".npz")), "--overwrite"]
        told.write_text(json.dumps({"command": " ".join(words), **offramp(*words)}))
    return folder.with_suffix(".npz"), json.loads(told.read_text())


def judge(images, real, against, extractor):
    """FD and KID of images against real ones, and the interval of the difference from others."""
    words = ["evaluate", str(images), real, "--metrics", "fd,kid", "--extractor", extractor, "--threads", "2"]
    if against is not None:
        words += ["--against", str(against)]
    return offramp(*words)["extractors"][0]


def cells(result):
    """FD, the difference with its interval, KID."""
    fd, kid = result["a"]["fd"], result["a"]["kid"]
    difference = ""
    if result.get("fd_difference"):
        d, base = result["fd_difference"], result["against"]["fd"]
        share = 100 * d["value"] / base
        difference = f"{d['value']:+.3f} ({d['low']:+.3f} … {d['high']:+.3f}), {share:+.1f} %"
    return f"{fd:.3f} | {difference} | {1e3 * kid['value']:.2f} ± {1e3 * kid['standard_error']:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--before", help="weights that the released backbone was trained on from")
    parser.add_argument("--point", action="append", default=[], metavar="NAME=WEIGHTS=EXIT[=N]")
    parser.add_argument("--extractor", default="fashion-features")
    parser.add_argument("--real", default=REAL)
    parser.add_argument("--floor", default=HELD_OUT)
    parser.add_argument("--out", default="out/release")
    arguments = parser.parse_args()
    Path(arguments.out).mkdir(parents=True, exist_ok=True)
    full = (FULL, "fashion-dit", "full", arguments.n)
    points = [full]
    if arguments.before:
        points.append(("before, full depth", arguments.before, "full", arguments.n))
    for text in arguments.point:
        name, weights, exit_spec, *n = text.split("=")
        points.append((name, weights, exit_spec, int(n[0]) if n else arguments.n))
    print(f"| {arguments.extractor} | exit | N | block cost | FD | FD − {FULL}'s, 95 % | KID × 10³ |")
    print("|---|---|---:|---:|---:|---:|---:|")
    of_full, _ = draw(full, arguments)
    for point in points:
        name, weights, exit_spec, n = point
        images, told = draw(point, arguments)
        against = None if point == full else of_full
        if against is not None and n != arguments.n:
            against = f"{of_full}#0..{n}"
        row = cells(judge(images, arguments.real, against, arguments.extractor))
        print(f"| {name} | `{exit_spec}` | {n} | {told['cost_share']:.3f} | {row} |", flush=True)
    row = cells(judge(arguments.floor, arguments.real, None, arguments.extractor))
    print(f"| floor: {arguments.floor} | | | | {row} |")


if __name__ == "__main__":
    main()
