# Commands for people; everything that is more than a line is in scripts/.

PREFIX ?= /opt/iopkt
DESTDIR ?=
TREE := target/iopkt

.DEFAULT_GOAL := help
.PHONY: help build install run test test-tree test-full bench clean cargo

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'

cargo:
	@command -v cargo >/dev/null || { echo "a Rust toolchain is needed: https://rustup.rs"; exit 1; }

build: cargo ## build everything; leaves a tree that works in place in target/iopkt
	scripts/packages build
	cargo build --release --workspace
	scripts/layout release $(TREE)
	@echo "built: $(TREE)/bin/iopkt"

install: ## copy the tree to PREFIX (default /opt/iopkt; DESTDIR for packagers)
	@[ -x $(TREE)/bin/iopkt ] || { echo "run 'make build' first"; exit 1; }
	mkdir -p $(DESTDIR)$(PREFIX)
	cp -a --remove-destination --no-preserve=ownership $(TREE)/. $(DESTDIR)$(PREFIX)/
	@echo "installed; the command is $(PREFIX)/bin/iopkt"

run: cargo ## get what is missing, build, start an instance on the user link, show it working
	scripts/packages build run
	@$(MAKE) --no-print-directory build
	scripts/run-demo $(TREE)

test: cargo ## everything that CI runs
	scripts/packages build test
	@$(MAKE) --no-print-directory test-tree
	scripts/test

test-tree: cargo ## the tree that the end-to-end tests use, in target/iopkt-test
	cargo build --workspace
	scripts/layout debug target/iopkt-test

test-full: cargo ## the same with simulations and sweeps at full count
	scripts/packages build test
	@$(MAKE) --no-print-directory test-tree
	scripts/test --full

bench: build ## the kernel's stack beside ours, in one table
	scripts/packages build test
	cargo run --release -p bench -- $(TREE)

clean: ## remove what was built
	cargo clean
