#!/usr/bin/env bash
# Puts Fashion-MNIST's four files into a cache that all clones share.
#   usage: scripts/get-fashion-mnist.sh
#   where: $OFFRAMP_CACHE, or ${XDG_CACHE_HOME:-~/.cache}/offramp; in it data/fashion-mnist/
#
# They come out of Debian's package dataset-fashion-mnist (31 MB), taken apart and not installed, so that
# no root is needed. Each file is checked against its SHA-256, whatever it came from; where there is no apt,
# the same four files can be put there by hand.
set -euo pipefail

PACKAGE=dataset-fashion-mnist
SUMS="\
b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7  train-images-idx3-ubyte.gz
0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056  train-labels-idx1-ubyte.gz
cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa  t10k-images-idx3-ubyte.gz
8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05  t10k-labels-idx1-ubyte.gz"

cache=${OFFRAMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/offramp}
dest=$cache/data/fashion-mnist
if [ "$(cat "$dest/SHA256SUMS" 2>/dev/null || true)" = "$SUMS" ]; then
    exit 0 # written last, it marks the folder whole
fi
mkdir -p "$cache/data"
exec 9>"$cache/data/.lock"
flock 9 # two clones may be set up at once

whole() { (cd "$1" 2>/dev/null && sha256sum --check --status <<<"$SUMS" 2>/dev/null); }

if ! whole "$dest"; then
    for tool in apt-get dpkg-deb; do
        command -v "$tool" >/dev/null && continue
        echo "fashion-mnist: $tool is needed and not there (this is not Debian or Ubuntu); put the four files" \
             "that https://github.com/zalandoresearch/fashion-mnist links to into $dest yourself" >&2
        exit 1
    done
    echo "fashion-mnist: fetching $PACKAGE into $dest" >&2
    work=$(mktemp -d "$cache/data/.fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # As root, apt would rather download as its own user, who cannot write here.
    fetch() { (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$PACKAGE"); }
    if ! fetch 2>"$work/log"; then
        # On a bare machine apt has no lists yet, and only root may get them.
        if [ "$(id -u)" = 0 ]; then
            apt-get update -qq && fetch
        else
            cat "$work/log" >&2
            echo "fashion-mnist: apt-get cannot find or fetch $PACKAGE; as root run \`apt-get update\` first" >&2
            exit 1
        fi
    fi
    dpkg-deb --extract "$work"/*.deb "$work/tree"
    files=$work/tree/usr/share/datasets/fashion-mnist
    if ! whole "$files"; then
        echo "fashion-mnist: $PACKAGE holds other files than expected:" >&2
        (cd "$files" && sha256sum --check --quiet <<<"$SUMS") >&2 || true
        exit 1
    fi
    cp "$work/tree/usr/share/doc/$PACKAGE/copyright" "$files/"
    rm -rf "$dest"
    mv "$files" "$dest"
fi
echo "$SUMS" >"$dest/.SHA256SUMS"
mv "$dest/.SHA256SUMS" "$dest/SHA256SUMS"
