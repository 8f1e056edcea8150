#!/usr/bin/env bash
# Runs cargo-deny, a pinned one, built once into the cache that all clones share.
set -euo pipefail
cd "$(dirname "$0")/.."
VERSION=0.20.2
tools=${OFFRAMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/offramp}/tools
if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null || true)" != "cargo-deny $VERSION" ]; then
    # Its own profile asks for fat LTO, which takes minutes and buys nothing for one check.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked --root "$tools" --version "$VERSION" cargo-deny
fi
exec "$tools/bin/cargo-deny" "$@"
