SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Flags for what a target runs: make demo ARGS=--yes
ARGS ?=

.PHONY: help
help: ## Print the targets
	@echo "Targets:"
	@awk -F ':.*## ' '/^[a-z.]+:.*## / { printf "  %-31s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The demos and the tests share one build: the dev profile of the whole workspace.
.PHONY: binaries
binaries:
	@scripts/setup cc protoc
	@$(CARGO) build --workspace --bins

.PHONY: demo demo.bookinfo demo.walk demo.ha demo.kubernetes
demo: binaries ## helloworld: two versions under load, and a tour of rule changes
	@$(TARGET)/debug/demo helloworld $(ARGS)

demo.bookinfo: binaries ## bookinfo: a page of four services, with rules to change under it
	@$(TARGET)/debug/demo bookinfo $(ARGS)

demo.walk: binaries ## bookinfo: the documented walk by itself, with a verdict for each step
	@$(TARGET)/debug/demo bookinfo --walk $(ARGS)

demo.ha: binaries ## helloworld while an etcd member, a registry and a controller die in turn
	@scripts/setup etcd
	@$(TARGET)/debug/demo ha $(ARGS)

# Without a cluster it says so before anything is built for one.
demo.kubernetes: binaries ## bookinfo on the cluster of the current kubeconfig: installs, walks, cleans up
	@$(TARGET)/debug/demo kubernetes --only-look
	@$(MAKE) --no-print-directory dockerize
	@$(TARGET)/debug/demo kubernetes $(ARGS)

.PHONY: check lint format generate doc features test
check: lint doc features test ## Everything that CI looks at

lint: ## Format and clippy
	@scripts/setup cc protoc lint
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets -- -D warnings

format: ## Format the code
	@scripts/setup lint
	@$(CARGO) fmt --all

generate: ## The files that are made from the code: kubernetes/crd.yaml, examples/kubernetes
	@scripts/setup cc protoc
	@$(CARGO) run --quiet --package a8-common --example crd > $(TARGET)/crd.yaml
	@mv $(TARGET)/crd.yaml kubernetes/crd.yaml
	@$(CARGO) run --quiet --package a8-examples --example routing_rules examples/kubernetes

doc: ## The documentation of the code, private items too, with broken links as errors
	@scripts/setup cc protoc
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --quiet

# A feature may only add: each package must build without all of them.
features: ## Build each package without its optional features
	@scripts/setup cc protoc
	@for package in a8-common a8-registry a8-controller a8-sidecar a8-cli; do \
	  $(CARGO) check --package $$package --no-default-features --quiet || exit 1; \
	done

test: binaries ## All tests, those over the real binaries included
	@scripts/setup peers etcd etcdctl kubectl
	@scripts/setup browser || echo "Goes on without a browser: one test says so"
	@$(CARGO) test --workspace --no-fail-fast $(ARGS)

# Each target is a test, too, which tries fewer inputs.
.PHONY: fuzz
fuzz: SECONDS ?= 60
fuzz: ## Look with libFuzzer for inputs that break something: make fuzz SECONDS=600
	@scripts/setup cc protoc fuzz
	@for target in proxy::fuzz::rule_document::a_rule_document_is_refused_or_means_one_thing \
	    proxy::fuzz::head::a_head_is_refused_or_sent_where_it_may_go \
	    proxy::fuzz::access_log::a_line_of_the_log_is_one_json_object \
	    dns::tests::fuzz::any_message_is_replied_to_by_the_rules; do \
	  $(CARGO) bolero test --package a8-sidecar --rustc-bootstrap -s NONE \
	    -T $(SECONDS)s $$target || exit 1; \
	done

# Release binaries are static: one file that runs anywhere, and a megabyte less of memory. Flags
# like this need a target to be named, which has a folder of its own. With --workspace, whatever
# is built: so the dependencies, with the features that all packages want of them, are built
# once for all.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# From 2.36 on, glibc takes relocations in a packed form. Otherwise half a megabyte of them is
# read at each start, and stays in memory.
GLIBC = $(shell getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)
PACKED = $(shell printf '2.36\n%s\n' "$(GLIBC)" | sort -VC && \
  echo -C link-arg=-Wl,-z,pack-relative-relocs)
release = @RUSTFLAGS="$(RUSTFLAGS) -C target-feature=+crt-static $(PACKED)" \
  $(CARGO) build --release --target $(HOST) --workspace $(1) && \
  scripts/collect $(TARGET)/$(HOST)/release $(TARGET)/release

.PHONY: build build.registry build.controller build.sidecar build.cli build.exampleapps
build: ## All release binaries, in target/release
	@scripts/setup cc protoc
	$(call release,--bins)

DEMOS := helloworld productpage details reviews ratings
build.registry: BINARIES := a8registry
build.registry: ## a8registry
build.controller: BINARIES := a8controller
build.controller: ## a8controller
build.sidecar: BINARIES := a8sidecar
build.sidecar: ## a8sidecar
build.cli: BINARIES := a8ctl
build.cli: ## a8ctl
build.demos: BINARIES := $(DEMOS)
.PHONY: build.demos
build.registry build.controller build.sidecar build.cli build.demos:
	@scripts/setup cc protoc
	$(call release,$(addprefix --bin ,$(BINARIES)))

# Images of what is built. REGISTRY=example.org/team/ and TAG=1.2 name them; the original's word
# for the latter is APP_VER_ABBR=v1.2.
TAG := $(or $(TAG),$(patsubst v%,%,$(APP_VER_ABBR)),latest)
export REGISTRY TAG
SERVER_IMAGES := a8-registry a8-controller a8-sidecar
DEMO_VERSIONS := helloworld-v1 helloworld-v2 bookinfo-productpage-v1 bookinfo-details-v1 \
  bookinfo-ratings-v1 bookinfo-reviews-v1 bookinfo-reviews-v2 bookinfo-reviews-v3
DEMO_IMAGES := $(addprefix a8-examples-,$(DEMO_VERSIONS) $(subst -v,-sidecar-v,$(DEMO_VERSIONS)))

# As in the original, this makes their images, too. And the registry's, which the original's line
# of targets leaves to be pulled: so that after it the demos can be started.
build.exampleapps: build.demos build.sidecar build.registry ## The demo services and, where there is an engine, their images
	@scripts/dockerize --if-possible $(TARGET)/release a8-registry $(DEMO_IMAGES)

.PHONY: dockerize dockerize.registry dockerize.controller dockerize.sidecar dockerize.exampleapps
dockerize: build ## Images of all release binaries
	@scripts/dockerize $(TARGET)/release $(SERVER_IMAGES) $(DEMO_IMAGES)
dockerize.registry: build.registry ## a8-registry
	@scripts/dockerize $(TARGET)/release a8-registry
dockerize.controller: build.controller ## a8-controller
	@scripts/dockerize $(TARGET)/release a8-controller
dockerize.sidecar: build.sidecar ## a8-sidecar
	@scripts/dockerize $(TARGET)/release a8-sidecar
dockerize.exampleapps: build.demos build.sidecar ## The demo services, each alone and with a sidecar
	@scripts/dockerize $(TARGET)/release $(DEMO_IMAGES)

.PHONY: dockerize.sidecar.envoy.ubuntu
dockerize.sidecar.envoy.ubuntu: dockerize.sidecar ## a8-sidecar; with Envoy, as the original's, in a later version
	@echo "    Its sidecar carries requests by itself: in this version none drives Envoy"

.PHONY: dockerize.source
dockerize.source: ## All images, built from source in a container: needs no Rust, but the network
	@scripts/dockerize --from-source $(SERVER_IMAGES) $(DEMO_IMAGES)

.PHONY: push
push: ## Push all images to REGISTRY, which is to be named
	@[ -n "$(REGISTRY)" ] || { echo "Say where to: make push REGISTRY=example.org/team/" >&2; exit 64; }
	@for image in $(SERVER_IMAGES) $(DEMO_IMAGES); do \
	  docker push "$(REGISTRY)$$image:$(TAG)" || exit 1; \
	done

.PHONY: check.images
check.images: dockerize ## Whether images are small, start and stop soon, and need no rights
	@scripts/check-images $(SERVER_IMAGES) $(DEMO_IMAGES)

.PHONY: bench
bench: ## What a request costs beside other proxies, and how soon a change bites
	@scripts/setup cc protoc wrk peers
	@scripts/setup haproxy nginx-stream || echo "Goes on without what could not be installed"
	@$(MAKE) --no-print-directory build
	@bench/run $(ARGS)
	@$(CARGO) bench --package a8-tests --bench changes

.PHONY: bench.control bench.ha bench.kubernetes
bench.control: build ## Registrations, heartbeats, lists and watches: how many, at what cost
	@scripts/setup wrk peers etcd
	@$(CARGO) bench --package a8-tests --bench control

bench.ha: build.registry build.controller ## etcd, registries and controllers die under 5,000 heartbeating instances
	@scripts/setup peers etcd
	@$(CARGO) bench --package a8-tests --bench ha

bench.kubernetes: build.sidecar ## A sidecar among 1,000 pods that come and go, and without API server (ARGS="--minutes 10")
	@A8_TEST_BINARIES=$(abspath $(TARGET)/release) \
	  $(CARGO) bench --profile dev --package a8-tests --bench cluster -- $(ARGS)

.PHONY: soak
soak: build.registry build.controller build.sidecar ## 30 minutes under load and churn: errors, memory, open files (ARGS="--minutes 2")
	@$(CARGO) bench --package a8-tests --bench soak -- $(ARGS)

.PHONY: release
release: build ## An archive of the static programs with manuals, completions, SBOM and checksums, in target/dist
	@scripts/setup sbom
	@scripts/release $(TARGET)/release $(TARGET)/dist

.PHONY: clean
clean: ## Remove what was built
	@$(CARGO) clean
