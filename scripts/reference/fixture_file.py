"""The fixture format: one .safetensors file that describes itself in its `__metadata__`.

The header is written here, not by the safetensors package, because that package leaves the order of the
metadata keys open and a fixture must come out the same, byte for byte, each time.
"""

import importlib.metadata
import json
import struct
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
PACKAGES = "torch 2.11.0, diffusers 0.36.0"
DTYPES = {"float64": "F64", "float32": "F32", "int64": "I64", "uint8": "U8"}


def write(name, generator, tolerance, cases, tensors, **more):
    """Writes `tests/fixtures/<name>.safetensors`.

    `generator` is the script's file name, `tolerance` a decimal string, `cases` a list of objects, `tensors`
    a dict of numpy arrays; `more` holds further metadata, stored as JSON unless it is a string. Scripts that use
    other packages than diffusers name them in `packages`.
    """
    check_packages(more.get("packages", PACKAGES))
    metadata = {
        "magic": "offramp-fixture",
        "version": "1",
        "tolerance": tolerance,
        "generator": f"scripts/reference/{generator}",
        "packages": PACKAGES,
        "cases": json.dumps(cases),
    }
    metadata |= {k: v if isinstance(v, str) else json.dumps(v) for k, v in more.items()}

    header, body, at = {"__metadata__": metadata}, [], 0
    # Wide types first keeps every tensor aligned to its own size.
    for key, array in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        assert array.size and (array.dtype.kind in "iu" or np.isfinite(array).all()), key
        data = np.ascontiguousarray(array).tobytes()
        header[key] = {
            "dtype": DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [at, at + len(data)],
        }
        body.append(data)
        at += len(data)

    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    FIXTURES.mkdir(parents=True, exist_ok=True)
    path = FIXTURES / f"{name}.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(body))
    print(f"{path.name}: {len(cases)} cases, {len(tensors)} tensors, {path.stat().st_size} bytes")


def check_packages(packages):
    """Refuses to write a fixture under the name of packages other than the ones that made it."""
    for package in packages.split(", "):
        name, pinned = package.split(" ")
        found = importlib.metadata.version(name).split("+")[0]
        if found != pinned:
            raise SystemExit(f"fixtures are made with {package}; found {found}")
