# Aquifer: `make lab` shows a mesh on this machine, `make test` proves the code, `make setup` only installs.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
BIN := node_modules/.bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

ARCH := $(shell uname -m | sed -e s/x86_64/x86/ -e s/aarch64/arm64/)
NODE_PACKAGE := node_modules/node-linux-$(shell uname -m | sed -e s/x86_64/x64/ -e s/aarch64/arm64/)

BPF_SOURCES := $(wildcard bpf/*.bpf.c)
BPF_OBJECTS := $(BPF_SOURCES:bpf/%.bpf.c=bpf/build/%.bpf.o)
BPF_HEADERS := $(wildcard bpf/include/*.h bpf/lib/*.h)
BPF_CFLAGS := -g -O2 -mcpu=v3 -target bpf -Wall -Wextra -Werror -D__TARGET_ARCH_$(ARCH) -Ibpf/include -Ibpf/lib \
	-idirafter /usr/include/$(shell uname -m)-linux-gnu

NATIVE_SOURCES := $(wildcard native/src/*.cc native/src/util/*.cc)
NATIVE_OBJECTS := $(NATIVE_SOURCES:native/src/%.cc=native/build/%.o)
NATIVE_HEADERS := $(wildcard native/src/*.h native/src/util/*.h)
NATIVE_CXXFLAGS := -std=c++20 -O2 -g -fPIC -fvisibility=hidden -Wall -Wextra -Werror -Wno-unused-parameter \
	-DNAPI_VERSION=9 -DNAPI_CPP_EXCEPTIONS=0 -DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS -DNODE_ADDON_API_DISABLE_DEPRECATED \
	-isystem $(NODE_PACKAGE)/include/node -isystem node_modules/node-addon-api -Inative/src

PROTO_SOURCES := $(shell find controller/proto -name '*.proto')

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

.PHONY: setup
setup: ## install what is missing (apt-get, npm ci); nothing the second time
	@bash deploy/setup.sh

.PHONY: build native bpf proto
build: setup native bpf proto ## the addon, the BPF objects, the generated messages
native: native/build/aquifer.node
bpf: $(BPF_OBJECTS)
proto: controller/proto/gen/.stamp

bpf/build/%.bpf.o: bpf/%.bpf.c $(BPF_HEADERS)
	@mkdir -p $(@D)
	clang $(BPF_CFLAGS) -c $< -o $@.tmp && bpftool gen object $@ $@.tmp && rm $@.tmp

native/build/%.o: native/src/%.cc $(NATIVE_HEADERS)
	@mkdir -p $(@D)
	g++ $(NATIVE_CXXFLAGS) -c $< -o $@

native/build/aquifer.node: $(NATIVE_OBJECTS)
	g++ -shared -o $@ $^ -Wl,-Bstatic -lbpf -lelf -lz -Wl,-Bdynamic

controller/proto/gen/.stamp: $(PROTO_SOURCES) buf.gen.yaml
	buf generate && touch $@
