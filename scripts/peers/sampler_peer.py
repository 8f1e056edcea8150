"""Another program's side of the benchmark: draws the images that offramp draws, from the same noise.

    sampler_peer.py WEIGHTS_FOLDER PEER        PEER: NAME[:threshold=X], see networks.py

One order a line on stdin, one answer a line on stdout, all JSON. An answer with `error` in it means that the
order failed. The first answer comes unasked, when the weights are loaded:

    {"peer", "torch", "diffusers", "blocks", "exact"}

    {"order": "check", "file": F, "threads"}   F holds x, t, class and offramp's own forward as `out`
        → {"difference", "compile_seconds"}    largest difference of outputs as a share of the largest output
    {"order": "prepare", "file": F, "solver": {…}, "steps", "guidance", "batch", "threads"}
        → {"compile_seconds"}                  F holds noise [n, C, H, W] and class [n]; nothing is drawn yet
    {"order": "draw"}                          the whole sampling loop, and nothing else
        → {"start", "end", "peak_rss", "evaluations", "blocks_run", "taken_depth"}
    {"order": "write", "file": F}              the images, [n, C, H, W] f32, into a safetensors file
        → {"images"}
    {"order": "quit"}

`start` and `end` are this machine's monotonic clock, which all processes share. `evaluations` counts network
evaluations of single rows, `blocks_run` the blocks that were run for them.
"""

import json
import math
import os
import sys
from functools import partial
from pathlib import Path
from time import perf_counter

sys.path.append(str(Path(__file__).resolve().parent.parent / "reference"))

import torch
from safetensors.torch import load_file, save_file

import networks
import sampling


class Peer:
    """The state between orders."""

    def __init__(self, folder, name):
        self.config = json.loads((folder / "config.json").read_text())
        self.network = networks.make(name, folder, self.config)
        self.seen = set()  # rows and threads that the network has run with
        self.images = None

    def hello(self):
        import diffusers

        versions = {"torch": torch.__version__, "diffusers": diffusers.__version__}
        return {"peer": self.network.name, "blocks": self.config["depth"], "exact": self.network.exact} | versions

    def check(self, file, threads):
        self.network.use_threads(threads)
        given = load_file(file)
        evaluate = lambda: self.network(given["x"], given["t"], given["class"])  # noqa: E731
        compile_seconds = self.compiling(len(given["x"]), threads, evaluate)
        self.network.begin(full=True)
        out = evaluate()
        largest = given["out"].abs().max()
        difference = ((out - given["out"]).abs().max() / largest).item()
        if not math.isfinite(difference):
            raise ValueError("its forward is not finite")
        return {"difference": difference, "compile_seconds": compile_seconds}

    def prepare(self, file, solver, steps, guidance, batch, threads):
        self.network.use_threads(threads)
        given = load_file(file)
        self.run = sampling.Run(self.config, solver, steps, guidance)
        self.batches = list(zip(given["noise"].split(batch), given["class"].split(batch), strict=True))
        seconds = 0.0
        for noise, classes in self.batches:
            first = partial(self.run.first_evaluation, self.network, noise, classes)
            seconds += self.compiling(self.run.rows(len(noise)), threads, first)
        return {"compile_seconds": seconds}

    def compiling(self, rows, threads, evaluate):
        """Seconds of the first evaluation with so many rows and threads, in which a compiled network compiles."""
        if (rows, threads) in self.seen:
            return 0.0
        self.network.begin()
        graphs, start = self.network.compiled_graphs(), perf_counter()
        evaluate()
        self.seen.add((rows, threads))
        return perf_counter() - start if self.network.compiled_graphs() > graphs else 0.0

    def draw(self):
        graphs = self.network.compiled_graphs()
        drawn = self.draw_once()
        # If it compiled on the way after all, that was no drawing.
        return drawn if self.network.compiled_graphs() == graphs else self.draw_once()

    def draw_once(self):
        self.images = []
        reset_peak_rss()
        count = self.network.count = networks.Count()
        start = perf_counter()
        for noise, classes in self.batches:
            self.network.begin()
            self.images.append(self.run.draw(self.network, noise, classes))
        end = perf_counter()
        taken = count.taken / count.evaluations if count.taken else None
        counts = {"evaluations": count.evaluations, "blocks_run": count.blocks_run, "taken_depth": taken}
        return {"start": start, "end": end, "peak_rss": peak_rss()} | counts

    def write(self, file):
        images = torch.cat(self.images).contiguous()
        save_file({"images": images}, file)
        return {"images": len(images)}


def reset_peak_rss():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # then the peak is that of the process's whole life


def peak_rss():
    """Bytes, or None where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)


def serve(peer, answers):
    orders = {"check": peer.check, "prepare": peer.prepare, "draw": peer.draw, "write": peer.write}
    for line in sys.stdin:
        order = json.loads(line)
        name = order.pop("order")
        if name == "quit":
            return
        try:
            answer = orders[name](**order)
        except Exception as error:  # whatever it is, the other side makes a row of it
            answer = {"error": describe(error)}
        print(json.dumps(answer), file=answers, flush=True)


def describe(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def main():
    # Answers have stdout for themselves: whatever a library prints goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with torch.inference_mode():
        try:
            peer = Peer(Path(sys.argv[1]), sys.argv[2])
            hello = peer.hello()
        except Exception as error:
            print(json.dumps({"error": describe(error)}), file=answers, flush=True)
            raise SystemExit(1) from error
        print(json.dumps(hello), file=answers, flush=True)
        serve(peer, answers)


if __name__ == "__main__":
    main()
