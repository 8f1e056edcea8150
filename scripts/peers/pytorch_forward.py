"""The PyTorch side of `benches/forward_vs_pytorch.rs`: runs a DiT forward whenever it is told to.

    pytorch_forward.py WEIGHTS_FOLDER

One order a line on stdin, one answer a line on stdout:

    input FILE         take x, t and class from a safetensors file      → ok
    output PEER FILE   write the peer's output there                    → ok
    time PEER N        run N forwards                                   → seconds

PEER is `plain` (dit_module.py) or `diffusers` (DiTTransformer2DModel).
"""

import json
import sys
from pathlib import Path
from time import perf_counter

import torch
from safetensors.torch import load_file, save_file

sys.path.append(str(Path(__file__).parent.parent / "reference"))

import dit_module
import hf_dit


def peers(folder):
    """name → function of (x, t, class), with the weights of `folder` in f32."""
    c = json.loads((folder / "config.json").read_text())
    w = {key: value.float() for key, value in load_file(folder / "model.safetensors").items()}
    plain = dit_module.DiT(c)
    plain.load_state_dict(w)
    plain.eval()
    diffusers = hf_dit.from_meta(w, c).float()
    return {"plain": plain, "diffusers": lambda x, t, y: diffusers(x, timestep=t, class_labels=y).sample}


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    found = peers(Path(sys.argv[1]))
    print(f"torch {torch.__version__}", flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            match line.split():
                case ["input", file]:
                    given = load_file(file)
                    inputs = given["x"], given["t"], given["class"]
                    answer = "ok"
                case ["output", peer, file]:
                    save_file({"out": found[peer](*inputs).contiguous()}, file)
                    answer = "ok"
                case ["time", peer, n]:
                    forward = found[peer]
                    start = perf_counter()
                    for _ in range(int(n)):
                        forward(*inputs)
                    answer = perf_counter() - start
            print(answer, flush=True)


if __name__ == "__main__":
    main()
