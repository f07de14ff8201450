#!/bin/bash
# The path of a new image in a real browser, pulled by a real containerd: the pull is refused with the request's
# number; two approvers of different groups follow its link, sign in with password and authenticator, see evidence
# and the difference to what is approved, and vote; the third pull works; an auditor proves it; a revocation stops
# the next pull. Pictures of each step are what the guides in docs/ show.
#
# Needs root on Debian: containerd works with mounts, and the first run installs containerd, runc, chromium and node
# by apt, and playwright-core and axe-core by npm into a folder of its own. After that it opens no connection but to
# this machine.
#
#   tests/browser/path.sh [--out FOLDER] [--pictures]
#     --out FOLDER   screenshots and logs [default: a new folder in /tmp]
#     --pictures     write the pictures of the guides, too: docs/pictures/*.png
#
# PRATIQUE is the program [default: target/release/pratique, or target/debug/pratique].
# BROWSER_TOOLS is the folder for npm's packages [default: /var/tmp/pratique-browser].
set -euo pipefail
cd "$(dirname "$0")"
HERE=$PWD
ROOT=$(cd ../.. && pwd)
TOOLS=${BROWSER_TOOLS:-/var/tmp/pratique-browser}
OUT= PICTURES=
while [ $# -gt 0 ]; do
  case $1 in
    --out) OUT=$(mkdir -p "$2" && cd "$2" && pwd); shift 2 ;;
    --pictures) PICTURES=$ROOT/docs/pictures; shift ;;
    -h | --help) sed -n '2,18p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) printf 'path: %s is no option; see --help\n' "$1" >&2; exit 64 ;;
  esac
done
OUT=${OUT:-$(mktemp -d /tmp/pratique-path.XXXXXX)}
[ "$(id -u)" = 0 ] || { printf 'path: needs root, as containerd does\n' >&2; exit 2; }
POLICY=$HERE/path.yaml
PROGRAMS=(containerd runc)
source "$HERE/lib.sh"

# --- a node: containerd with the mirror as its only endpoint --------------------------------------------
NODE=$WORK/node
mkdir -p "$NODE/hosts.d/registry.example"
sed "s|http://127.0.0.1:5000|http://127.0.0.1:$NODES|g" "$ROOT/deploy/containerd/closed.hosts.toml" \
  >"$NODE/hosts.d/registry.example/hosts.toml"
cat >"$NODE/config.toml" <<TOML
version = 2
root = "$NODE/root"
state = "$NODE/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "$NODE/sock"
[ttrpc]
address = "$NODE/ttrpc"
TOML
containerd --config "$NODE/config.toml" >"$OUT/containerd.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do ctr --address "$NODE/sock" version >/dev/null 2>&1 && break; sleep 0.1; done
say "$(containerd --version | cut -d' ' -f1-3)"

# --- the path -------------------------------------------------------------------------------------------
say "walking; screenshots in $OUT"
TOOLS="$TOOLS" OUT="$OUT" PICTURES="$PICTURES" NODE="$NODE" PRATIQUE="$PRATIQUE" CONFIG="$WORK/pratique.toml" \
  ADMINS="http://127.0.0.1:$ADMINS" UPSTREAM="http://127.0.0.1:$UPSTREAM" CHROMIUM="$(command -v chromium)" \
  node "$HERE/path.mjs"
