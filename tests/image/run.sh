#!/bin/bash
# The image, as deploy/image/build.sh makes it without a container engine: twice the same bytes, small, run by runc
# under the restricted settings with a read-only root, and pulled by a real client from a real registry.
#
#   PRATIQUE=PROGRAM   the static program (default: built by deploy/image/binary.sh)
#   RIG=DIRECTORY      scratch (default /tmp/pratique-image)
#   tests/image/run.sh --two-binaries    also builds the program in two folders and compares them; half an hour
# Needs root and Debian: it installs runc, skopeo and docker-registry. About half a minute with a program that is there.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
RIG=${RIG:-/tmp/pratique-image}
SIZE_MAX=25000000
NODE_PORT=25900 ADMIN_PORT=25901 REGISTRY_PORT=25902
passed=0 failed=0 skipped=0
ok() { echo "ok $1${2:+: $2}"; passed=$((passed + 1)); }
bad() { echo "FAIL $1: $2"; failed=$((failed + 1)); }
skip() { echo "skip $1: $2"; skipped=$((skipped + 1)); }
wait_until() { local tries=$1; shift; until "$@"; do tries=$((tries - 1)); [ "$tries" -gt 0 ] || return 1; sleep 0.2; done; }

missing=()
for tool in runc skopeo docker-registry curl; do command -v $tool >/dev/null || missing+=("$tool"); done
if [ ${#missing[@]} -gt 0 ]; then
  { timeout 300 apt-get -q update; timeout 300 apt-get -q install -y --no-install-recommends -o DPkg::Lock::Timeout=180 "${missing[@]}"; } >/dev/null 2>&1 ||
    { echo "these cannot be had: ${missing[*]}" >&2; exit 2; }
fi
mkdir -p "$RIG"
OUT=$(mktemp -d "$RIG/run.XXXXXX")
registry=''
finish() {
  runc delete -f pratique-image-test >/dev/null 2>&1 || true
  [ -z "$registry" ] || kill "$registry" 2>/dev/null || true
  rm -rf "$OUT"
}
trap finish EXIT
PRATIQUE=${PRATIQUE:-$("$PROJECT/deploy/image/binary.sh" "$RIG/target")}

# Twice, at different times and in different folders.
export SOURCE_DATE_EPOCH=1700000000
"$PROJECT/deploy/image/build.sh" "$OUT/one" --binary "$PRATIQUE" >"$OUT/said"
mkdir "$OUT/elsewhere"
(cd "$OUT/elsewhere" && umask 077 && TZ=Asia/Tokyo LC_ALL=C "$PROJECT/deploy/image/build.sh" ./two --binary "$PRATIQUE") >/dev/null
if diff -r "$OUT/one" "$OUT/elsewhere/two" >"$OUT/difference" 2>&1; then
  ok "two builds are the same, bit by bit" "$(cut -d' ' -f1 "$OUT/said")"
else
  bad "two builds are the same, bit by bit" "$(head -3 "$OUT/difference")"
fi
SOURCE_DATE_EPOCH=1700000001 "$PROJECT/deploy/image/build.sh" "$OUT/later" --binary "$PRATIQUE" >/dev/null
if cmp -s "$OUT/one/index.json" "$OUT/later/index.json"; then
  bad "SOURCE_DATE_EPOCH is heeded" "another time made the same image"
else
  ok "SOURCE_DATE_EPOCH is heeded"
fi

# Its size, what it says of itself, and that every digest is that of its bytes.
if said=$(python3 "$HERE/look.py" "$OUT/one" $SIZE_MAX "$PRATIQUE" "$OUT/root" 2>&1); then ok "the image" "$said"; else bad "the image" "$said"; fi

# Run under the restricted settings: a read-only root, uid 65532, no capability, no new privileges.
bundle=$OUT/bundle
mkdir -p "$bundle" "$OUT/config" "$OUT/data"
mv "$OUT/root" "$bundle/rootfs"
cat >"$OUT/config/pratique.toml" <<TOML
data_dir = "/var/lib/pratique"
policy = "/etc/pratique/policy.yaml"
[node]
listen = "127.0.0.1:$NODE_PORT"
[admin]
listen = "127.0.0.1:$ADMIN_PORT"
TOML
cat >"$OUT/config/policy.yaml" <<YAML
apiVersion: pratique.dev/v1
kind: Policy
metadata: {name: image, revision: 1}
rules:
- {id: all, match: ["**"], trust: approve}
YAML
chown 65532:65532 "$OUT/data"
chmod 0755 "$OUT" "$OUT/config" "$bundle" "$bundle/rootfs"
(cd "$bundle" && runc spec && python3 "$HERE/restrict.py" config.json "$OUT/config" "$OUT/data")
runc run --bundle "$bundle" pratique-image-test >"$OUT/out" 2>"$OUT/log" </dev/null &
if wait_until 100 curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$NODE_PORT/readyz" 2>/dev/null; then
  ok "it runs by runc under the restricted settings" "$(grep -o 'confined: .*\|not wholly confined: .*\|is not confined.*' "$OUT/log" | head -1)"
  # By the program itself: the image has nothing else.
  if said=$(runc exec pratique-image-test /usr/bin/pratique token new alice --config /etc/pratique/pratique.toml 2>&1); then
    ok "a token is made by exec, without a shell"
  else
    bad "a token is made by exec, without a shell" "$(tail -1 <<<"$said")"
  fi
  pid=$(runc state pratique-image-test | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
  status=$(grep -E '^(CapEff|NoNewPrivs|Uid)' "/proc/$pid/status" | tr '\t\n' '  ')
  case $status in
    *"Uid: 65532"*"CapEff: 0000000000000000"*"NoNewPrivs: 1"*) ok "it has no capability and is nobody else" ;;
    *) bad "it has no capability and is nobody else" "$status" ;;
  esac
  if findmnt -n -o OPTIONS -N "$pid" / 2>/dev/null | grep -q '^ro\|,ro'; then
    ok "its root is read-only"
  else
    bad "its root is read-only" "$(findmnt -n -o OPTIONS -N "$pid" / 2>&1)"
  fi
else
  bad "it runs by runc under the restricted settings" "$(tail -3 "$OUT/log" | paste -sd' ')"
fi
runc kill pratique-image-test TERM >/dev/null 2>&1 || true

# From a real registry, by a real client.
cat >"$OUT/registry.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $OUT/registry}}
http: {addr: "127.0.0.1:$REGISTRY_PORT"}
YAML
docker-registry serve "$OUT/registry.yml" >"$OUT/registry.log" 2>&1 &
registry=$!
wait_until 50 curl -fsS -o /dev/null "http://127.0.0.1:$REGISTRY_PORT/v2/" 2>/dev/null || true
to=docker://127.0.0.1:$REGISTRY_PORT/pratique:0.1.0
if said=$(skopeo copy -q --insecure-policy --dest-tls-verify=false "oci:$OUT/one:latest" "$to" 2>&1) &&
  said=$(skopeo copy -q --insecure-policy --src-tls-verify=false "$to" "oci:$OUT/pulled:latest" 2>&1) &&
  said=$(skopeo inspect --tls-verify=false "$to" 2>&1); then
  wanted=$(cut -d' ' -f1 "$OUT/said")
  if grep -q "\"Digest\": \"$wanted\"" <<<"$said"; then ok "skopeo pushes it, and pulls the same digest"; else bad "skopeo pulls the same digest" "$said"; fi
else
  bad "skopeo pushes and pulls it" "$said"
fi

# The Dockerfile makes the same root.
if said=$(python3 "$HERE/dockerfile.py" "$PROJECT" "$OUT/one" 2>&1); then ok "the Dockerfile says the same"; else bad "the Dockerfile says the same" "$said"; fi

if [ "${1:-}" = --two-binaries ]; then
  for name in one another-folder; do
    mkdir -p "$OUT/source/$name"
    git -C "$PROJECT" archive HEAD | tar x -C "$OUT/source/$name"
    "$OUT/source/$name/deploy/image/binary.sh" >/dev/null
  done
  target=$(rustc -vV | sed -n 's/^host: //p')
  if cmp "$OUT/source/one/target/$target/release/pratique" "$OUT/source/another-folder/target/$target/release/pratique" >"$OUT/difference" 2>&1; then
    ok "two folders give the same program"
  else
    bad "two folders give the same program" "$(cat "$OUT/difference")"
  fi
else
  skip "two folders give the same program" "--two-binaries was not given"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
