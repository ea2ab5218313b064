# Swarmgate. `make help` lists the targets; each installs what it needs first.
SHELL := /bin/bash
NODE := node
SWARMGATE := $(NODE) dist/program/swarmgate.js
CAPTURES := fixtures/captures
PREFIX := /usr/local

.PHONY: help run scan build test e2e e2e-packages e2e-nft e2e-container demo lint format bench bench-queue fuzz golden robust fixtures clean packages install uninstall

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

node_modules/.installed: package.json package-lock.json
	@deploy/check-node
	@deploy/install-packages libpcap-dev g++ make python3
	@deploy/npm-ci --no-audit --no-fund
	@touch $@

build: node_modules/.installed ## compile to dist/
	@npx --no-install tsc -p tsconfig.json
	@$(NODE) deploy/bundle.js
	@deploy/build-native

run: build ## check this machine and start the filter in monitor mode, with live status; Ctrl-C undoes it (needs root)
	@deploy/install-packages iptables nftables iproute2
	@deploy/run-here

scan: build ## scan the recorded captures in fixtures/ and print the report
	$(SWARMGATE) scan $(CAPTURES)

packages: e2e-packages ## Debian packages that tests and benchmarks use: judges, real clients and servers (needs root)
	@deploy/install-packages tshark tcpdump logrotate shellcheck chromium

e2e-packages:
	@deploy/install-packages $$(grep -v '^#' deploy/e2e-packages)

test: build packages ## every test that this machine permits; says what it skipped and why
	@deploy/run-tests

e2e: build e2e-packages ## real clients through the filter in network namespaces (needs root, about five minutes)
	@deploy/run-tests dist/e2e

demo: build e2e-packages ## see the filter at work on this machine in under a minute (needs root, no router)
	@$(NODE) dist/e2e/demo.js

lint: build ## types, lint rules and format
	npx --no-install eslint .
	npx --no-install prettier --check .

format: node_modules/.installed ## rewrite all files in the project's format
	npx --no-install prettier --write .

golden: build ## rewrite the golden results after a wanted change (read the diff!)
	SWARMGATE_GOLDEN=write deploy/run-tests dist/fixtures
	SWARMGATE_GOLDEN=write deploy/run-tests dist/lib/config

e2e-nft: build ## the nft rules, and the filter with them, in a Debian kernel under qemu (root, a quarter of an hour)
	@deploy/install-packages qemu-system-x86 busybox-static kmod nftables
	e2e/nft/run

e2e-container: ## build the container image and show that it filters, passes and stops (root, podman)
	@deploy/install-packages podman
	@e2e/container/run

fuzz: build ## fuzz every parser for SWARMGATE_FUZZ_SECONDS each (default here: 60)
	SWARMGATE_FUZZ_SECONDS=$${SWARMGATE_FUZZ_SECONDS:-60} deploy/run-tests dist '*.fuzz.test.js'

robust: build ## 10 million mutated packets, and every prefix of 50 captures
	SWARMGATE_MUTATED_PACKETS=10000000 SWARMGATE_PREFIX_FILES=50 deploy/run-tests dist/cmd robustness.test.js

fixtures: ## record the captures in fixtures/captures again with real clients (root, network namespaces)
	fixtures/record/record all

bench: build ## speed and memory, side by side with the peers that are installed (root for the inline filter)
	@deploy/install-packages tshark tcpdump libndpi-bin iptables ethtool iperf3 $(if $(GO_BLOCKER),golang-go)
	$(NODE) --expose-gc dist/bench/run.js

bench-queue: build ## what the inline filter costs beside C, npm's nfqueue and no filter (root, six minutes)
	@deploy/install-packages iptables ethtool iperf3
	$(NODE) dist/bench/nfqueue.js

install: build ## install to PREFIX (default /usr/local), below DESTDIR if that is given
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' UNITDIR='$(UNITDIR)' deploy/install

uninstall: ## remove what install made; the configuration too with PURGE=1
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' UNITDIR='$(UNITDIR)' PURGE='$(PURGE)' deploy/uninstall

clean: ## remove what was built
	rm -rf dist node_modules bench/peers/node_modules
