#!/usr/bin/env bash
# Puts libtorch 2.11.0 (CPU) into a cache that all clones share, and links ./libtorch to it.
#   usage: scripts/get-libtorch.sh        cache: $OFFRAMP_CACHE, or ${XDG_CACHE_HOME:-~/.cache}/offramp
#
# libtorch comes out of PyPI's torch wheel, pinned by hash: a 544 MB download, 499 MB kept. That wheel is
# a CUDA 13 build, but its libtorch_cpu.so is complete for the CPU; it only wants two small CUDA runtime
# libraries beside it (its profiler is linked to them). The wheel's libtorch.so asks for libtorch_cuda.so,
# so an empty library that asks for libtorch_cpu.so alone takes its place, as in the official CPU archive.
set -euo pipefail
cd "$(dirname "$0")/.."

TORCH=2.11.0 CUDART=13.0.96 CUPTI=13.0.85
if [ -n "${LIBTORCH:-}${LIBTORCH_USE_PYTORCH:-}" ]; then
    echo "libtorch: yours (${LIBTORCH:-pip torch}) is used" >&2
    exit 0
fi
if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
    echo "libtorch: fetched on x86_64 Linux only; elsewhere install torch $TORCH and set LIBTORCH, or" \
         "LIBTORCH_USE_PYTORCH=1" >&2
    exit 1
fi
for tool in "${PYTHON:=python3}" "${CC:=cc}"; do
    command -v "$tool" >/dev/null || { echo "libtorch: $tool is needed and not there" >&2; exit 1; }
done

cache=${OFFRAMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/offramp}
dest=$cache/libtorch-$TORCH
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9 # two clones may be set up at once

if [ "$(cat "$dest/build-version" 2>/dev/null || true)" != "$TORCH" ]; then
    echo "libtorch: fetching $TORCH into $dest" >&2
    work=$(mktemp -d "$cache/.fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cat >"$work/pins.txt" <<PINS
torch==$TORCH --hash=sha256:7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a
nvidia-cuda-runtime==$CUDART --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cupti==$CUPTI --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
PINS
    "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --implementation cp --python-version 3.11 --abi cp311 \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        -r "$work/pins.txt" -d "$work/wheels"
    "$PYTHON" - "$work/wheels" "$work/libtorch" <<'UNPACK'
"""Takes libraries, headers and licences out of the wheels."""
import pathlib, shutil, sys, zipfile

wheels, dest = map(pathlib.Path, sys.argv[1:])
wanted = {"torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/lib/libgomp.so.1",
          "nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/lib/libcupti.so.13"}
found = set()
for wheel in sorted(wheels.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name in wanted:
                found.add(name)
                out = dest / "lib" / pathlib.PurePosixPath(name).name
            elif name.startswith("torch/include/") and not name.endswith("/"):
                out = dest / name.removeprefix("torch/")
            elif ".dist-info/" in name and name.endswith(("/LICENSE", "/NOTICE", "/License.txt")):
                out = dest / "licenses" / name.replace("/", "_")
            else:
                continue
            out.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(out, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
assert found == wanted, f"not in the wheels: {wanted - found}"
UNPACK
    ln -s libgomp.so.1 "$work/libtorch/lib/libgomp.so" # torch-sys links -lgomp: the one libtorch uses
    ( cd "$work/libtorch/lib"
      echo | "$CC" -shared -fPIC -nostdlib -x c - -o libtorch.so -Wl,-soname,libtorch.so \
          -Wl,--no-as-needed -L. -ltorch_cpu -Wl,--allow-shlib-undefined -Wl,-rpath,'$ORIGIN' )
    echo "$TORCH" >"$work/libtorch/build-version" # torch-sys compares it; written last, it marks the folder whole
    rm -rf "$dest"
    mv "$work/libtorch" "$dest"
fi
ln -sfn "$dest" libtorch
