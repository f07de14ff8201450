#!/bin/bash
# The README's first steps, from nothing to a gated pull by containerd, counted and timed: at most ten commands and
# five minutes.
#
#   PRATIQUE=PROGRAM   the program under test (default target/debug/pratique)
# Needs root and Debian: it installs containerd, skopeo and docker-registry. A mount namespace of its own keeps
# /etc/containerd and /etc/pratique of this machine as they are. Seconds.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
COMMANDS_MAX=10 SECONDS_MAX=300
if [ -z "${PRATIQUE_START_INSIDE:-}" ]; then
  missing=()
  for tool in containerd skopeo docker-registry; do command -v $tool >/dev/null || missing+=("$tool"); done
  if [ ${#missing[@]} -gt 0 ]; then
    { timeout 300 apt-get -q update; timeout 300 apt-get -q install -y --no-install-recommends -o DPkg::Lock::Timeout=180 "${missing[@]}"; } >/dev/null 2>&1 ||
      { echo "these cannot be had: ${missing[*]}" >&2; exit 2; }
  fi
  PRATIQUE_START_INSIDE=1 exec unshare --mount --fork --kill-child "$0" "$@"
fi
mount --make-rprivate /
mkdir -p /etc/containerd /etc/pratique
mount -t tmpfs tmpfs /etc/containerd
mount -t tmpfs tmpfs /etc/pratique

PRATIQUE=$(realpath "${PRATIQUE:-$PROJECT/target/debug/pratique}")
OUT=$(mktemp -d /tmp/pratique-start.XXXXXX)
NODE_PORT=25910 ADMIN_PORT=25911 REGISTRY_PORT=25912
pids=()
finish() {
  status=$?
  [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  [ "$status" = 0 ] || tail -5 "$OUT"/*.log 2>/dev/null || true
  rm -rf "$OUT"
}
trap finish EXIT
wait_until() { local tries=$1; shift; until "$@" >/dev/null 2>&1; do tries=$((tries - 1)); [ "$tries" -gt 0 ] || return 1; sleep 0.2; done; }
fail() { echo "FAIL: $*"; exit 1; }
cd "$OUT"
mkdir bin
ln -s "$PRATIQUE" bin/pratique
export PATH="$OUT/bin:$PATH"

# What is there before: a registry with an image, and a node with containerd.
printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s/registry}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$OUT" $REGISTRY_PORT >registry.yml
docker-registry serve registry.yml >registry.log 2>&1 & pids+=($!)
head -c 100000 /dev/urandom >content
python3 "$PROJECT/deploy/image/layout.py" --binary content --output image --version 1 >/dev/null
printf 'version = 2\nroot = "%s/root"\nstate = "%s/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n[grpc]\naddress = "%s/c.sock"\n' "$OUT" "$OUT" "$OUT" >/etc/containerd/config.toml
containerd -c /etc/containerd/config.toml >containerd.log 2>&1 & pids+=($!)
wait_until 50 curl -fs "http://127.0.0.1:$REGISTRY_PORT/v2/" || fail "no registry"
skopeo copy -q --insecure-policy --dest-tls-verify=false oci:image:latest "docker://127.0.0.1:$REGISTRY_PORT/app:1"
wait_until 50 ctr -a c.sock version || fail "no containerd"

count=0
started=$(date +%s%N)
# Everything that a person types goes through here.
type_in() { count=$((count + 1)); echo "$count: $*"; "$@"; }
type_in pratique init --yes --node-url "https://127.0.0.1:$NODE_PORT" --admin-url "http://127.0.0.1:$ADMIN_PORT" \
  --registry "corp.example=http://127.0.0.1:$REGISTRY_PORT" >init.log 2>&1 || fail "init: $(cat init.log)"
count=$((count + 1)); echo "$count: pratique serve --config pratique/pratique.toml &"
pratique serve --config pratique/pratique.toml >serve.log 2>&1 & pids+=($!)
wait_until 150 curl -fs --cacert pratique/ca.crt "https://127.0.0.1:$NODE_PORT/readyz" || fail "not ready: $(tail -3 serve.log)"
# The node: the authority, and what closes it.
type_in cp pratique/ca.crt /etc/containerd/pratique-ca.crt
version=$(containerd --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -1)
type_in pratique node install --runtime "containerd@$version" --mirror "https://127.0.0.1:$NODE_PORT" \
  --ca /etc/containerd/pratique-ca.crt >install.log 2>&1 || fail "node install: $(cat install.log)"
pull() { ctr -a c.sock image pull --hosts-dir /etc/containerd/certs.d --snapshotter native corp.example/app:1; }
if type_in pull >pull.log 2>&1; then fail "an image that nobody approved was pulled"; fi
grep -q '403' pull.log || fail "it was refused for another reason: $(tail -2 pull.log)"
type_in pratique requests --config pratique/pratique.toml >requests.log 2>&1 || fail "$(cat requests.log)"
grep -q 'R-1' requests.log || fail "no request was filed: $(cat requests.log)"
type_in pratique approve R-1 --reason "the first image" --config pratique/pratique.toml >approve.log 2>&1 || fail "$(cat approve.log)"
type_in pull >pull.log 2>&1 || fail "approved and not pulled: $(tail -2 pull.log)"
ctr -a c.sock image ls -q | grep -qx 'corp.example/app:1' || fail "the image is not there"
# What is closed stays closed: without the mirror nothing comes.
ctr -a c.sock image rm corp.example/app:1 >/dev/null
kill "${pids[-1]}"; wait "${pids[-1]}" 2>/dev/null || true
if ctr -a c.sock image pull --hosts-dir /etc/containerd/certs.d --snapshotter native corp.example/app:1 >down.log 2>&1; then
  fail "without the mirror the image came from somewhere else"
fi
took=$((($(date +%s%N) - started) / 1000000))
echo "ok: $count commands of at most $COMMANDS_MAX, $took ms of at most $((SECONDS_MAX * 1000))"
[ "$count" -le $COMMANDS_MAX ] && [ "$took" -le $((SECONDS_MAX * 1000)) ]
