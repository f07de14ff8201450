#!/bin/bash
# Everything under deploy/ that can be checked without a cluster: manifests, chart, alerts, dashboard, systemd unit,
# Compose file.
#
#   PRATIQUE=PROGRAM   the program under test (default target/debug/pratique)
#   RIG=DIRECTORY      where the tools are kept (default /tmp/pratique-deploy)
# Needs python3 with venv, and kubectl with kustomize in it. About a minute the first time, seconds after.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
RIG=${RIG:-/tmp/pratique-deploy}
PRATIQUE=${PRATIQUE:-$PROJECT/target/debug/pratique}
passed=0 failed=0 skipped=0
ok() { echo "ok $1"; passed=$((passed + 1)); }
bad() { echo "FAIL $1: $2"; failed=$((failed + 1)); }
skip() { echo "skip $1: $2"; skipped=$((skipped + 1)); }

mkdir -p "$RIG"
OUT=$(mktemp -d "$RIG/run.XXXXXX")
trap 'rm -rf "$OUT"' EXIT
if [ ! -e "$RIG/python/.ready" ]; then
  echo "fetching Kubernetes' schemas and Helm's library"
  rm -rf "$RIG/python"
  python3 -m venv "$RIG/python"
  timeout 300 "$RIG/python/bin/pip" -q --disable-pip-version-check install -r "$HERE/requirements.txt"
  touch "$RIG/python/.ready"
fi

if ! command -v kubectl >/dev/null; then
  skip manifests "no kubectl"
elif "$RIG/python/bin/python" "$HERE/check.py" "$PROJECT" "$OUT" >"$OUT/said" 2>&1; then
  ok "manifests: $(tail -1 "$OUT/said")"
  # What the ConfigMaps carry is good, for the program itself.
  for folder in "$OUT"/*/; do
    name=$(basename "$folder")
    sed -i "s|/etc/pratique/policy.yaml|${folder}policy.yaml|; s|/var/lib/pratique|${folder}data|; s|/etc/pratique-tls/tls|${folder}tls|" "$folder/pratique.toml"
    : >"${folder}tls.crt"; : >"${folder}tls.key"
    if said=$("$PRATIQUE" config check --config "$folder/pratique.toml" 2>&1) &&
      said=$("$PRATIQUE" policy check "$folder/policy.yaml" 2>&1); then
      ok "settings and policy of $name"
    else
      bad "settings and policy of $name" "$said"
    fi
  done
else
  bad manifests "$(cat "$OUT/said")"
fi

# The units: how exposed systemd itself finds them. 0 is the best of 100.
EXPOSURE_MAX=15
for unit in pratique pratique-preload; do
  if ! command -v systemd-analyze >/dev/null; then
    skip "systemd $unit" "no systemd-analyze"
    continue
  fi
  sed "s|/usr/bin/pratique|$PRATIQUE|" "$PROJECT/deploy/systemd/$unit.service" >"$OUT/$unit.service"
  if said=$(systemd-analyze security --offline=true --threshold=$EXPOSURE_MAX --no-pager "$OUT/$unit.service" 2>&1); then
    ok "systemd $unit: $(tail -1 <<<"$said" | sed 's/^[^A-Za-z]*//') (at most $EXPOSURE_MAX of 100 allowed)"
  else
    bad "systemd $unit" "$(tail -1 <<<"$said")"
  fi
done

# The Compose file: the fields that keep the container small, and the settings that it names.
COMPOSE=$PROJECT/deploy/compose/docker-compose.yaml
if said=$("$RIG/python/bin/python" "$HERE/compose.py" "$COMPOSE" 2>&1); then ok "compose: $said"; else bad compose "$said"; fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
