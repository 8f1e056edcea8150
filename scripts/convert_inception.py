"""The FID Inception's weights, as safetensors, from a file that you have.

    convert_inception.py FILE [OUT]

FILE is one of two. OUT is `extractors/inception-2015/model.safetensors` in offramp's cache unless given.

- `pt_inception-2015-12-05-6726825d.pth`, the state dict that pytorch-fid downloads: read without torch, and without
  running anything in it.
- `inception-2015-12-05.pt`, the TorchScript network that clean-fid and StyleGAN download: needs torch. It isn't run;
  the weights are found by following its graph from the output back.

Any other file is refused, torchvision's Inception too: a distance over it is no FID.
"""

import sys
import zipfile
from pathlib import Path

from weights_file import Refused, cache_folder, fail, read_state_dict, write_safetensors

NAME = "inception-2015"
FC = (1008, 2048)
EPS = 1e-3


def layers():
    """name → shape of the kernel, in the order in which the branches of each block are joined."""
    stem = [("1a_3x3", 32, 3, 3), ("2a_3x3", 32, 32, 3), ("2b_3x3", 64, 32, 3), ("3b_1x1", 80, 64, 1), ("4a_3x3", 192, 80, 3)]
    found = {f"Conv2d_{name}": (to, n, k, k) for name, to, n, k in stem}

    def block(name, *branches):
        found.update({f"Mixed_{name}.branch{branch}": shape for branch, *shape in branches})

    def double(n):
        return [("3x3dbl_1", 64, n, 1, 1), ("3x3dbl_2", 96, 64, 3, 3), ("3x3dbl_3", 96, 96, 3, 3)]

    for name, n, pool in ("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64):
        block(name, ("1x1", 64, n, 1, 1), ("5x5_1", 48, n, 1, 1), ("5x5_2", 64, 48, 5, 5), *double(n), ("_pool", pool, n, 1, 1))
    block("6a", ("3x3", 384, 288, 3, 3), *double(288))
    for name, c in ("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192):
        block(
            name, ("1x1", 192, 768, 1, 1),
            ("7x7_1", c, 768, 1, 1), ("7x7_2", c, c, 1, 7), ("7x7_3", 192, c, 7, 1),
            ("7x7dbl_1", c, 768, 1, 1), ("7x7dbl_2", c, c, 7, 1), ("7x7dbl_3", c, c, 1, 7),
            ("7x7dbl_4", c, c, 7, 1), ("7x7dbl_5", 192, c, 1, 7), ("_pool", 192, 768, 1, 1),
        )  # fmt: skip
    block(
        "7a", ("3x3_1", 192, 768, 1, 1), ("3x3_2", 320, 192, 3, 3),
        ("7x7x3_1", 192, 768, 1, 1), ("7x7x3_2", 192, 192, 1, 7), ("7x7x3_3", 192, 192, 7, 1), ("7x7x3_4", 192, 192, 3, 3),
    )  # fmt: skip
    for name, n in ("7b", 1280), ("7c", 2048):
        block(
            name, ("1x1", 320, n, 1, 1),
            ("3x3_1", 384, n, 1, 1), ("3x3_2a", 384, 384, 1, 3), ("3x3_2b", 384, 384, 3, 1),
            ("3x3dbl_1", 448, n, 1, 1), ("3x3dbl_2", 384, 448, 3, 3),
            ("3x3dbl_3a", 384, 384, 1, 3), ("3x3dbl_3b", 384, 384, 3, 1), ("_pool", 192, n, 1, 1),
        )  # fmt: skip
    return {name: tuple(shape) for name, shape in found.items()}


def expected():
    """name → shape of every tensor; Inception Score leaves the bias of the last layer out."""
    shapes = {"fc.weight": FC}
    for name, shape in layers().items():
        shapes[f"{name}.conv.weight"] = shape
        shapes |= {f"{name}.bn.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")}
    return shapes


def is_torchscript(file):
    return zipfile.is_zipfile(file) and any(n.endswith("/constants.pkl") for n in zipfile.ZipFile(file).namelist())


def from_state_dict(file):
    entries = read_state_dict(file)
    if "fc.weight" in entries and entries["fc.weight"].shape[0] == 1000:
        raise Refused("this is torchvision's Inception, of 1000 classes; the FID's has 1008")
    kept = {n: t for n, t in entries.items() if n != "fc.bias" and not n.endswith("num_batches_tracked")}
    return {n: (t.dtype, t.shape, t.bytes()) for n, t in kept.items()}


def from_torchscript(file):
    """Reads a TorchScript module with a network `layers` and a last linear layer."""
    try:
        import torch
    except ImportError:
        raise Refused("a TorchScript file is read with torch, which is not installed here") from None

    module = torch.jit.load(file, map_location="cpu").eval()
    if not hasattr(module, "layers"):
        raise Refused("a TorchScript file without `layers`")
    graph = torch.jit.freeze(module.layers, optimize_numerics=False).inlined_graph
    found = dict(zip(layers(), convolutions(list(graph.outputs())[0]), strict=False))
    if len(found) != len(layers()):
        raise Refused(f"a graph of {len(found)} convolutions, and {len(layers())} are needed")
    tensors = {}
    for name, (kernel, norm) in found.items():
        tensors[f"{name}.conv.weight"] = kernel
        tensors |= {f"{name}.bn.{part}": value for part, value in norm.items()}
    last = [w for w in module.state_dict().values() if tuple(w.shape) in (FC, FC[::-1])]
    if len(last) != 1:
        raise Refused(f"{len(last)} tensors of shape {FC}, and one is needed")
    tensors["fc.weight"] = last[0] if tuple(last[0].shape) == FC else last[0].T
    as_bytes = {n: t.detach().float().contiguous() for n, t in tensors.items()}
    return {n: ("F32", tuple(t.shape), t.numpy().tobytes()) for n, t in as_bytes.items()}


def convolutions(output):
    """[(kernel, norm)] of all convolutions above a value of a frozen graph: those of a block branch by branch."""
    through = {"aten::relu", "aten::relu_", "aten::max_pool2d", "aten::avg_pool2d", "aten::adaptive_avg_pool2d", "aten::mean",
               "aten::reshape", "aten::view", "aten::flatten", "aten::squeeze"}  # fmt: skip
    known = {}

    def constant(value):
        return value.toIValue()

    def norm(node):
        _, weight, bias, mean, var, _, _, eps, _ = node.inputs()
        if abs(constant(eps) - EPS) > 1e-9:
            raise Refused(f"a batch norm of ε = {constant(eps)}, and it is {EPS} in the FID's Inception")
        mean = constant(mean)
        ones, zeros = mean * 0 + 1, mean * 0
        either = lambda value, other: other if constant(value) is None else constant(value)  # noqa: E731
        return {
            "weight": either(weight, ones), "bias": either(bias, zeros),
            "running_mean": mean, "running_var": constant(var),
        }  # fmt: skip

    def above(value):
        """Names of the convolutions' outputs, each once, earlier ones first."""
        node, inputs = value.node(), list(value.node().inputs())
        if value.debugName() in known:
            return known[value.debugName()][0]
        kind, entry = node.kind(), None
        if kind == "prim::Param":
            names = []
        elif kind in through:
            names = above(inputs[0])
        elif kind == "aten::cat":
            branches = [above(branch) for branch in inputs[0].node().inputs()]
            names = list(dict.fromkeys(name for branch in branches for name in branch))
        elif kind == "aten::batch_norm":
            conv = inputs[0].node()
            if conv.kind() not in ("aten::conv2d", "aten::_convolution"):
                raise Refused(f"a batch norm behind {conv.kind()}")
            source, kernel, *_ = conv.inputs()
            names, entry = [*above(source), value.debugName()], (constant(kernel), norm(node))
        else:
            raise Refused(f"a graph with {kind}, which the FID's Inception has not")
        known[value.debugName()] = (names, entry)
        return names

    return [known[name][1] for name in above(output)]


def main(source, out=None):
    try:
        tensors = from_torchscript(str(source)) if is_torchscript(source) else from_state_dict(source)
    except (Refused, OSError) as e:
        fail(source, e)
    shapes = expected()
    got = {name: shape for name, (_, shape, _) in tensors.items()}
    wrong = sorted(name for name in shapes.keys() | got.keys() if shapes.get(name) != got.get(name))
    if wrong:
        name = wrong[0]
        fail(source, f"not the FID's Inception: {name} is {got.get(name)}, not {shapes.get(name)}; {len(wrong)} differ")
    out = Path(out or cache_folder(NAME) / "model.safetensors")
    write_safetensors(out, tensors, f"converted from {Path(source).name}")
    print(f"{out}: {len(tensors)} tensors")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
