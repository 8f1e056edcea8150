# Two commands do all the set-up: `make demo` and `make test`.
# Everything is built in the release profile, so that libtorch's C++ glue is compiled once.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: demo test test-heavy speed peers batch-size libtorch deny clean

# The contact sheet of all ten classes, full depth above, early exits below.
demo: libtorch
	cargo run --release --quiet --example contact_sheet

# Format, lints, docs, and all fast tests.
test: libtorch
	cargo fmt --check
	cargo clippy --release --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps
	cargo test --release

# The slow tests, the library alone, the outside crate, dependencies' licences and sources.
test-heavy: libtorch deny
	cargo test --release -- --ignored
	cargo clippy --release --no-default-features --lib -- -D warnings
	cd examples/renderer && cargo fmt --check && cargo clippy --release -- -D warnings && cargo test --release
	cargo run --release --quiet --example quickstart
	cargo run --release --quiet --example custom_exit
	cd examples/renderer && cargo run --release -- --frames 4 --out "$$(mktemp -d)"

# Speed against its bounds: r, the forward against PyTorch, start-up. Prints one table.
speed: peers
	rm -rf target/tmp/speed
	OFFRAMP_PYTHON=$(PEERS)/bin/python cargo bench --bench exit_ratio --bench forward_vs_pytorch --bench startup
	@printf '\n| what | median (least … most) | bound | |\n|---|---|---|---|\n'; cat target/tmp/speed/*.md

# Images a second by micro-batch.
batch-size: libtorch
	cargo bench --bench batch_size

# The Python that the benches compare with: pinned packages from PyPI in a virtual environment.
PEERS ?= .venv
peers: libtorch
	test -x $(PEERS)/bin/python || python3 -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -r scripts/peers/requirements.txt

libtorch:
	@scripts/get-libtorch.sh

deny:
	scripts/cargo-deny.sh check bans licenses sources

clean:
	rm -rf target out examples/renderer/target
