# Aquifer: `make lab` shows a mesh on this machine, `make test` proves the code, `make setup` only installs.
# The recipes run the project's own Node (node_modules/.bin/node), whichever Node the machine has.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
BIN := node_modules/.bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

ARCH := $(shell uname -m | sed -e s/x86_64/x86/ -e s/aarch64/arm64/)
NODE_PACKAGE := node_modules/node-linux-$(shell uname -m | sed -e s/x86_64/x64/ -e s/aarch64/arm64/)

# Ubuntu's bpftool is a wrapper that wants the running kernel's; linking objects works with any kernel's.
BPFTOOL = $(shell PATH="$$PATH:/usr/sbin"; bpftool version >/dev/null 2>&1 && echo bpftool || \
	ls /usr/lib/linux-tools*/*/bpftool /usr/lib/linux-tools*/bpftool 2>/dev/null | tail -n 1)

BPF_SOURCES := $(wildcard bpf/*.bpf.c)
BPF_OBJECTS := $(BPF_SOURCES:bpf/%.bpf.c=bpf/build/%.bpf.o)
BPF_HEADERS := $(wildcard bpf/include/*.h bpf/lib/*.h)
BPF_CFLAGS := -g -O2 -mcpu=v3 -target bpf -Wall -Wextra -Werror -D__TARGET_ARCH_$(ARCH) -Ibpf/include -Ibpf/lib \
	-idirafter /usr/include/$(shell uname -m)-linux-gnu

NATIVE_SOURCES := $(wildcard native/src/*.cc native/src/util/*.cc)
NATIVE_OBJECTS := $(NATIVE_SOURCES:native/src/%.cc=native/build/%.o)
NATIVE_HEADERS := $(wildcard native/src/*.h native/src/util/*.h)
NATIVE_CXXFLAGS := -std=c++20 -O2 -g -fPIC -fvisibility=hidden -Wall -Wextra -Werror -Wno-unused-parameter \
	-DNAPI_VERSION=9 -fno-exceptions -DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS -DNODE_ADDON_API_DISABLE_DEPRECATED \
	-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS \
	-isystem $(NODE_PACKAGE)/include/node -isystem node_modules/node-addon-api -iquote native/src

PROTO_SOURCES := $(shell find controller/proto -name '*.proto')

# Shared: Debian's libbpf.a and libelf.a are not position-independent and cannot go into a shared object.
NATIVE_LIBS := -lbpf -lelf -lz

STAGES := build types lint architecture unit native-test bpf-test e2e
AVA := node test/support/ava.ts
UNIT_TESTS := 'test/unit/**/*.test.ts' 'test/vectors/**/*.test.ts'

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

.PHONY: lab test bench
lab: build ## a mesh with the sample shop on this machine, until Ctrl-C (ARGS="--nodes 3" and the like)
	@exec node controller/cli/main.ts lab up $(ARGS)

test: ## all stages below in order; one alone: make unit
	@bash deploy/setup.sh --test
	@node test/support/stages.ts $(STAGES)

bench: build ## the benchmarks with their peers; one alone: make bench NAME=bulk (ARGS="--rounds 3" and the like)
	@bash deploy/setup.sh --bench --quiet
	@exec node test/bench/main.ts $(NAME) $(ARGS)

.PHONY: setup ready build native bpf proto
setup: ## install what is missing (apt-get, npm ci); nothing the second time
	@bash deploy/setup.sh

ready:
	@bash deploy/setup.sh --quiet

build: ready ## the addon, the BPF objects, the generated messages
	@$(MAKE) -s --no-print-directory -j2 native bpf proto

native: native/build/aquifer.node
bpf: $(BPF_OBJECTS)
proto: controller/proto/gen/.stamp

.PHONY: types lint architecture unit native-test bpf-test e2e
types: ready proto ## TypeScript, checked only: it runs as it is written
	@tsc

lint: ready ## Biome: lint rules and format
	@biome check --error-on-warnings .

architecture: ready ## directions of imports, sizes and names of files
	@$(AVA) architecture test/unit/architecture.test.ts

unit: build ## pure parts and vectors; no privilege needed
	@$(AVA) unit --quiet $(UNIT_TESTS) '!test/unit/architecture.test.ts'

native-test: build ## the addon; needs root
	@$(AVA) native --concurrency=1 'test/native/**/*.test.ts'

bpf-test: build ## the BPF programs in this kernel; needs root
	@$(AVA) bpf --concurrency=1 'test/bpf/**/*.test.ts'

e2e: build ## the lab from end to end; needs root and the servers of setup --test
	@bash deploy/setup.sh --test --quiet
	@$(AVA) e2e --concurrency=1 --timeout=300s 'test/e2e/**/*.test.ts'

.PHONY: format clean
format: ready ## Biome's format and safe fixes
	@biome check --write .

clean: ## remove what was built
	rm -rf native/build bpf/build controller/proto/gen

bpf/build/%.bpf.o: bpf/%.bpf.c $(BPF_HEADERS)
	@mkdir -p $(@D)
	@echo "  BPF  $<"
	@clang $(BPF_CFLAGS) -c $< -o $@.tmp && $(BPFTOOL) gen object $@ $@.tmp && rm $@.tmp

native/build/%.o: native/src/%.cc $(NATIVE_HEADERS) Makefile
	@mkdir -p $(@D)
	@echo "  C++  $<"
	@g++ $(NATIVE_CXXFLAGS) -c $< -o $@

native/build/aquifer.node: $(NATIVE_OBJECTS)
	@echo "  LINK $@"
	@g++ -shared -o $@.tmp $^ $(NATIVE_LIBS) && mv $@.tmp $@ # running processes keep the old one

controller/proto/gen/.stamp: $(PROTO_SOURCES) buf.gen.yaml
	@echo "  PROTO"
	@buf generate && touch $@
