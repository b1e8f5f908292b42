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
CLUSTER_TOOLS := kube-controller-manager kube-scheduler kubelet coredns agnhost pause

.PHONY: help
help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
generate: setup ## Writes the kinds' definitions and the list of values into the chart.
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
	@tests/tools/build promtool
	cargo test --workspace

.PHONY: demo
demo: tools build ## Shows the product on real binaries; ARGS="--keep" leaves it up.
	target/debug/demo $(ARGS)

.PHONY: bench
bench: tools ## Measures against kube-proxy and writes docs/benchmarks.md.
	@scripts/setup image
	cargo build --release --package pointsman-tests --bin bench
	POINTSMAN_PROGRAMS="$$(scripts/static $$(dpkg --print-architecture))" target/release/bench $(ARGS)

.PHONY: image
image: setup ## Builds target/image/pointsman-<arch>.tar, static programs and their licences; ARCH=amd64 only for that machine.
	@scripts/setup image
	scripts/image $(ARCH)

.PHONY: cluster-tools
cluster-tools: tools ## Builds what the real cluster needs beyond that: kubelet and the like, CoreDNS, images of test pods.
	@scripts/setup cluster
	@tests/tools/build $(CLUSTER_TOOLS)
	@tests/tools/images pause coredns agnhost

.PHONY: cluster
cluster: cluster-tools ## Brings up a real cluster of two nodes with the chart and an example, and leaves it up; ARGS="--help".
	$(MAKE) image ARCH=$$(dpkg --print-architecture)
	cargo build --package pointsman-tests --bin cluster
	target/debug/cluster up $(ARGS)

.PHONY: cluster-down
cluster-down: setup ## Takes that cluster down, or what a crash has left of it.
	cargo build --package pointsman-tests --bin cluster
	target/debug/cluster down

.PHONY: e2e
e2e: cluster-tools ## Plays on a real cluster what happens to one, and on one with kube-proxy to compare; ARGS="--help".
	$(MAKE) image ARCH=$$(dpkg --print-architecture)
	cargo build --package pointsman-tests --bin e2e
	target/debug/e2e $(ARGS)

.PHONY: conformance
conformance: cluster-tools ## Runs upstream's conformance tests of the network on a real cluster and writes docs/conformance.md.
	@tests/tools/build e2e.test
	$(MAKE) image ARCH=$$(dpkg --print-architecture)
	cargo build --package pointsman-tests --bin conformance
	target/debug/conformance $(ARGS)

.PHONY: clean
clean: ## Removes everything that was built.
	rm -rf target

# Unoptimized: it runs for a second, and would take several times as long to build.
$(DENY): | setup
	cargo install --locked --debug --quiet --version $(DENY_VERSION) --root target/tools/cargo-deny-$(DENY_VERSION) \
	  --target-dir target/tools/cargo-deny-build cargo-deny
	rm -rf target/tools/cargo-deny-build
