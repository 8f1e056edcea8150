"""Reads a PyTorch state dict and writes safetensors, with Python's standard library alone.

A state dict is a pickle, and unpickling runs whatever the file says. Here only the handful of names that a dict
of tensors is made of can be loaded, and none of them is torch's own: any other name ends the program. Both of
torch's containers are read, the zip archive (since 1.6) and the one before it.
"""

import collections
import io
import json
import math
import os
import pickle
import struct
import sys
import zipfile
from array import array
from dataclasses import dataclass
from pathlib import Path

# torch's storage type → dtype in safetensors, bytes an element.
STORAGES = {
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "DoubleStorage": ("F64", 8),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001


class Refused(Exception):
    """The file is not a state dict that can be read safely."""


@dataclass
class Storage:
    """The flat memory behind one or more tensors; its bytes may come later."""

    dtype: str
    width: int
    numel: int
    data: bytes = b""


@dataclass
class Tensor:
    dtype: str
    shape: tuple
    strides: tuple
    storage: Storage
    offset: int

    def bytes(self):
        """Its elements in row-major order, whatever their order in the storage."""
        flat = array({2: "H", 4: "I", 8: "Q"}[self.storage.width], self.storage.data)
        reach = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides))
        least = min((*self.shape, *self.strides, 1))
        if least < 1 or self.offset < 0 or max(reach + 1, math.prod(self.shape)) > len(flat):
            raise Refused("a tensor reaches beyond its storage")
        (*shape, last), (*strides, step) = self.shape or (1,), self.strides or (1,)
        rows = [self.offset]
        for n, s in zip(shape, strides):
            rows = [row + k * s for row in rows for k in range(n)]
        out = array(flat.typecode)
        for row in rows:
            out.extend(flat[row : row + (last - 1) * step + 1 : step])
        return out.tobytes()


def rebuild_tensor(storage, offset, size, stride, *_):
    if not isinstance(storage, Storage):
        raise Refused("a tensor without storage")
    if len(size) != len(stride) or not all(isinstance(n, int) for n in (offset, *size, *stride)):
        raise Refused("a tensor without a shape")
    return Tensor(storage.dtype, tuple(size), tuple(stride), storage, offset)


def rebuild_parameter(tensor, *_):
    return tensor


class Unpickler(pickle.Unpickler):
    """Knows ordered dicts, tensors and storages; everything else is refused by name."""

    def __init__(self, file, load=lambda key, storage: None):
        super().__init__(file, encoding="latin1")
        self.storages, self.load_storage = {}, load

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return rebuild_parameter
        if module == "torch" and name in STORAGES:
            return name  # a plain string: it can't be called
        raise Refused(f"the pickle asks for {module}.{name}, which no state dict needs")

    def persistent_load(self, reference):
        match reference:
            case ("storage", str(kind), str(key), str(), int(numel), *view) if kind in STORAGES and numel >= 0:
                if any(v is not None for v in view):
                    raise Refused("a storage that is a view of another")
                if key not in self.storages:
                    self.storages[key] = Storage(*STORAGES[kind], numel)
                    self.load_storage(key, self.storages[key])
                return self.storages[key]
        raise Refused(f"an unknown kind of storage: {reference!r:.80}")


def read_state_dict(file):
    """name → Tensor, of a file that `torch.save(module.state_dict(), file)` wrote."""
    try:
        with open(file, "rb") as f:
            entries = read_zip(f) if zipfile.is_zipfile(f) else read_legacy(f)
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, struct.error, KeyError, ValueError, TypeError,
            AttributeError, IndexError, UnicodeDecodeError) as e:
        raise Refused(f"not a PyTorch file, or a damaged one ({e})") from e
    if not isinstance(entries, dict) or not entries:
        raise Refused("not a dict of tensors")
    for name, value in entries.items():
        if not (isinstance(name, str) and isinstance(value, Tensor)):
            raise Refused(f"{name!r:.80} is not a tensor; a plain state_dict is needed")
    return dict(entries)


def read_zip(f):
    archive = zipfile.ZipFile(f)
    pickles = [n for n in archive.namelist() if n.endswith("/data.pkl") and n.count("/") == 1]
    if len(pickles) != 1:
        raise Refused("a zip archive that is not PyTorch's")
    root = pickles[0].removesuffix("data.pkl")
    if root + "constants.pkl" in archive.namelist():
        raise Refused("a TorchScript archive, not a state dict")
    if root + "byteorder" in archive.namelist() and archive.read(root + "byteorder") != b"little":
        raise Refused("a big-endian file")

    def load(key, storage):
        info = archive.getinfo(f"{root}data/{key}")
        if info.file_size != storage.numel * storage.width:
            raise Refused(f"storage {key} has {info.file_size} bytes for {storage.numel} numbers")
        storage.data = archive.read(info)

    return Unpickler(io.BytesIO(archive.read(pickles[0])), load).load()


def read_legacy(f):
    f.seek(0)
    if f.read(2) != b"\x80\x02":
        raise Refused("not a PyTorch file")
    f.seek(0)
    if Unpickler(f).load() != LEGACY_MAGIC or Unpickler(f).load() != LEGACY_VERSION:
        raise Refused("not a PyTorch file")
    system = Unpickler(f).load()
    if not system["little_endian"]:
        raise Refused("a big-endian file")
    unpickler = Unpickler(f)
    entries = unpickler.load()
    for key in Unpickler(f).load():
        storage = unpickler.storages[key]
        (numel,) = struct.unpack("<q", f.read(8))
        if numel != storage.numel:
            raise Refused(f"storage {key} has {numel} numbers, not {storage.numel}")
        if numel * storage.width > os.fstat(f.fileno()).st_size - f.tell():
            raise Refused("the file ends early")
        storage.data = f.read(numel * storage.width)
    return entries


def write_safetensors(file, tensors, source):
    """Writes name → (dtype, shape, bytes) beside `file`, then renames; `source` goes into the metadata."""
    header, at = {"__metadata__": {"source": source}}, 0
    for name, (dtype, shape, data) in sorted(tensors.items()):
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.part-{os.getpid()}")
    try:
        with open(partial, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            for _, (_, _, data) in sorted(tensors.items()):
                f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def cache_folder(extractor):
    """Where offramp looks for an extractor's weights when it is given no file."""
    base = os.environ.get("OFFRAMP_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "offramp"
    )
    return Path(base, "extractors", extractor)


def fail(file, reason):
    """Ends the program with exit code 2: the input is refused."""
    print(f"error: {file}: {reason}", file=sys.stderr)
    raise SystemExit(2)
