# Everything that is done with Pointsman's source. `make help` lists the targets; `make test` and `make demo` need nothing before them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# First where `make setup` puts a Go or a Rust that the machine lacks: an older one of Debian's must not come before them.
CARGO_HOME ?= $(HOME)/.cargo
export PATH := $(CURDIR)/target/tools/go/bin:$(CARGO_HOME)/bin:$(PATH):/usr/local/go/bin
# The suites look for the programs there.
export CARGO_TARGET_DIR := $(CURDIR)/target

DENY_VERSION := 0.20.2
DENY := target/tools/cargo-deny-$(DENY_VERSION)/bin/cargo-deny
PURE := --package pointsman-crds --package pointsman-planner --package pointsman-dataplane
TOOLS := etcd kube-apiserver kubectl kube-proxy helm

.PHONY: help
help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Installs what build, tests and demo need on a Debian 12 machine (as root); quick when all is there.
	@scripts/setup

.PHONY: tools
tools: setup ## Builds the pinned programs: etcd, kube-apiserver, kubectl, kube-proxy, helm.
	@tests/tools/build $(TOOLS)

.PHONY: build
build: setup ## Builds our programs, unoptimized.
	cargo build --workspace --bins

.PHONY: generate
generate: setup ## Writes the kinds' definitions into the chart.
	scripts/generate

.PHONY: check
check: setup $(DENY) ## Format, lints, pure unit tests, generated files, licences, dependency rules, file rules.
	scripts/check-files
	cargo fmt --all --check
	cargo fetch --locked
	$(DENY) --offline check licenses bans sources
	cargo clippy --workspace --all-targets -- --deny warnings
	scripts/generate --check
	scripts/check-crates
	cargo test $(PURE)

.PHONY: test
test: check tools build ## All checks, then every test, the real API server and real packets included.
	cargo test --workspace

.PHONY: demo
demo: tools build ## Shows the product on real binaries; ARGS="--keep" leaves it up.
	target/debug/demo $(ARGS)

.PHONY: bench
bench: tools ## Measures against kube-proxy and writes docs/benchmarks.md.
	cargo build --release --workspace --bins
	target/release/bench $(ARGS)

.PHONY: clean
clean: ## Removes everything that was built.
	rm -rf target

# Unoptimized: it runs for a second, and would take several times as long to build.
$(DENY): | setup
	cargo install --locked --debug --quiet --version $(DENY_VERSION) --root target/tools/cargo-deny-$(DENY_VERSION) \
	  --target-dir target/tools/cargo-deny-build cargo-deny
	rm -rf target/tools/cargo-deny-build
