#!/usr/bin/env bash
# Installs what Aquifer needs on Debian or Ubuntu, and nothing that is there already; the second run only says so.
#   deploy/setup.sh [--test] [--bench] [--quiet]
# --test adds the servers that the lab's tests run in pods, --bench the peers of the benchmark, --quiet says nothing when
# there is nothing to do. Elsewhere, or without root, it names each missing tool with its Debian package and exits 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" LC_ALL=C

# What, the Debian package, and the check that succeeds when it is there.
BUILD=(
  "make|make|command -v make"
  "g++ (C++20)|g++|command -v g++"
  "clang with the BPF target|clang|command -v clang"
  "bpftool|bpftool|has_bpftool"
  "libbpf 1.1 or later, static|libbpf-dev|has_libbpf"
  "libelf, static|libelf-dev|exists /usr/lib/*/libelf.a /usr/lib/libelf.a /usr/lib64/libelf.a"
  "zlib, static|zlib1g-dev|exists /usr/lib/*/libz.a /usr/lib/libz.a /usr/lib64/libz.a"
  "ip|iproute2|command -v ip"
  "nft|nftables|command -v nft"
  "capsh|libcap2-bin|command -v capsh"
  "setpriv, nsenter, unshare|util-linux|command -v setpriv && command -v nsenter && command -v unshare"
  "mount|mount|command -v mount"
  "hostname|hostname|command -v hostname"
  "ps, sysctl|procps|command -v ps && command -v sysctl"
)
TEST=(
  "nginx|nginx-light|command -v nginx"
  "redis-server, redis-cli|redis-server|command -v redis-server && command -v redis-cli"
  "postgres, psql|postgresql|exists /usr/lib/postgresql/*/bin/postgres && command -v psql"
  "iperf3|iperf3|command -v iperf3"
  "ncat|ncat|command -v ncat"
  "curl|curl|command -v curl"
)
BENCH=(
  "haproxy|haproxy|command -v haproxy"
  "python3 with venv|python3-venv|python3 -c 'import venv, ensurepip'"
)

exists() { for path in "$@"; do [ -e "$path" ] && return 0; done; return 1; }

# Ubuntu's /usr/sbin/bpftool only looks for the one of the running kernel; any kernel's does for linking objects.
has_bpftool() { bpftool version || exists /usr/lib/linux-tools*/*/bpftool /usr/lib/linux-tools*/bpftool; }

has_libbpf() {
  exists /usr/lib/*/libbpf.a /usr/lib/libbpf.a /usr/lib64/libbpf.a || return 1
  local major minor
  major=$(sed -nE 's/^#define LIBBPF_MAJOR_VERSION ([0-9]+)/\1/p' /usr/include/bpf/libbpf_version.h)
  minor=$(sed -nE 's/^#define LIBBPF_MINOR_VERSION ([0-9]+)/\1/p' /usr/include/bpf/libbpf_version.h)
  [ "$major" -gt 1 ] || { [ "$major" -eq 1 ] && [ "$minor" -ge 1 ]; }
}

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Prints the entries whose check fails.
missing() {
  local entry
  for entry in "$@"; do (eval "${entry##*|}") >/dev/null 2>&1 || printf '%s\n' "$entry"; done
}

# Names of what to install for the entries given; the package of bpftool differs among Ubuntu's releases.
packages() {
  local entry name
  for entry in "$@"; do
    name=${entry#*|} name=${name%%|*}
    if [ "$name" = bpftool ] && ! apt-cache show --no-all-versions bpftool 2>/dev/null | grep -q '^Package: bpftool$'; then
      printf 'linux-tools-common\nlinux-tools-generic\n'
    else
      printf '%s\n' "$name"
    fi
  done
}

explain() {
  local entry name
  printf 'setup: %s; these are missing:\n' "$1" >&2
  shift
  for entry in "$@"; do
    name=${entry#*|}
    printf '  %-30s Debian package %s\n' "${entry%%|*}" "${name%%|*}" >&2
  done
}

# Debian starts a server that it installs; the lab runs its own, so an answer of "not allowed" stands for the while.
POLICY=/usr/sbin/policy-rc.d
LOG=$(mktemp)
OWN_POLICY=
cleanup() {
  rm -f "$LOG"
  if [ -n "$OWN_POLICY" ]; then rm -f "$POLICY"; fi
}
trap cleanup EXIT

install_packages() {
  local names=("$@")
  if [ ! -e "$POLICY" ]; then
    OWN_POLICY=1
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
  fi
  local apt=(apt-get -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
  export DEBIAN_FRONTEND=noninteractive
  "${apt[@]}" install --no-install-recommends "${names[@]}" 2>&1 | tee "$LOG" |
    awk '/^Unpacking /{n++; printf "  unpacked %d: %s\n", n, $2} /^Setting up /{printf "  set up %s\n", $3}'
}

install_missing() {
  local entries=("$@") names
  say "apt-get update"
  apt-get -o DPkg::Lock::Timeout=300 update >"$LOG" 2>&1 || { tail -n 5 "$LOG" >&2; say "apt-get update failed; trying with the lists that are there"; }
  mapfile -t names < <(packages "${entries[@]}" | sort -u)
  say "apt-get install ${names[*]}"
  install_packages "${names[@]}" || { tail -n 15 "$LOG" >&2; fail "apt-get could not install: ${names[*]} (its last lines are above)"; }
}

need_system_packages() {
  local entries left
  mapfile -t entries < <(missing "$@")
  [ "${#entries[@]}" -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null; then
    local distribution
    distribution=$(. /etc/os-release 2>/dev/null && printf '%s' "${PRETTY_NAME:-}") || true
    explain "this machine (${distribution:-unknown}) has no apt-get, and only Debian and Ubuntu are set up automatically" "${entries[@]}"
    exit 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    explain "installing needs root (sudo make setup)" "${entries[@]}"
    exit 1
  fi
  install_missing "${entries[@]}"
  changed=1
  mapfile -t left < <(missing "${entries[@]}")
  [ "${#left[@]}" -eq 0 ] || { explain "after apt-get (the distribution's release may be too old: Debian 12, Ubuntu 24.04 or later)" "${left[@]}"; exit 1; }
}

need_node_modules() {
  local version
  # Outside node_modules: make puts the project's own Node first in PATH.
  PATH=$(printf '%s' "$PATH" | tr ':' '\n' | grep -v '/node_modules/.bin$' | paste -sd:)
  command -v node >/dev/null || fail "node is missing; Node.js 20 or later with npm starts the project (https://nodejs.org/en/download, or NodeSource's Debian packages)"
  version=$(node -p 'process.versions.node.split(".")[0]')
  [ "$version" -ge 20 ] || fail "node is $(node -v), and Node.js 20 or later is needed (https://nodejs.org/en/download)"
  command -v npm >/dev/null || fail "npm is missing; it comes with Node.js, or as Debian's package npm"
  local stamp=node_modules/.aquifer-lock sum
  sum=$(sha256sum package-lock.json)
  if [ -x node_modules/.bin/node ]; then
    [ "$(cat $stamp 2>/dev/null)" != "$sum" ] || return 0
    # Somebody ran npm by hand: its own record of what it installed is newer than what asks for it.
    if [ node_modules/.package-lock.json -nt package-lock.json ]; then printf '%s\n' "$sum" >$stamp; return 0; fi
  fi
  say "npm ci (packages of package-lock.json; their install scripts are not run)"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  [ -x node_modules/.bin/node ] || fail "npm brought no Node.js for $(uname -m); Aquifer runs on x86-64 and arm64"
  printf '%s\n' "$sum" >$stamp
  changed=1
}

wanted=("${BUILD[@]}") quiet= changed=
for argument in "$@"; do
  case $argument in
    --test) wanted+=("${TEST[@]}") ;;
    --bench) wanted+=("${TEST[@]}" "${BENCH[@]}") ;;
    --quiet) quiet=1 ;;
    *) printf 'usage: deploy/setup.sh [--test] [--bench] [--quiet]\n' >&2; exit 2 ;;
  esac
done
need_system_packages "${wanted[@]}"
need_node_modules
if [ -n "$changed" ]; then say "done"; elif [ -z "$quiet" ]; then say "nothing to do, all is installed"; fi
