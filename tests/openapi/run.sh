#!/bin/bash
# Asks a running mirror everything that its description of the admin API allows, and much that it does not,
# and looks whether the answers are those that are described: schemathesis, as an administrator and as a viewer.
#
#   tests/openapi/run.sh [--no-install]
#   PRATIQUE=PROGRAM       default: target/release/pratique, or target/debug/pratique
#   RIG=DIRECTORY          scratch directory for the tools, default /var/tmp/pratique-rig
#   EXAMPLES=N             random cases for each operation, default 20; 0: none beside those that are always asked
#
# Needs python3 with venv, curl, and an index of Python packages unless schemathesis is there already. No root.
# Checks that are left out, and why:
#   ensure_resource_availability, use_after_free   they follow links between operations, which we describe none of
#   object_level_authorization                     wants two callers in one run
#   ignored_auth, missing_required_header          they take no 429 for an answer, which an address gets that shows
#                                                  no valid token ten times a minute; that nothing is answered without
#                                                  one is looked at for each route by tests/it/admin/access.rs
#   negative_data_rejection, at random only        it leaves out what may be left out, and takes that for a mistake
# What is well-formed and refused all the same stands in schemathesis.toml, operation by operation.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
RIG=${RIG:-/var/tmp/pratique-rig}
tools=$RIG/openapi-tools
EXAMPLES=${EXAMPLES:-20}
mkdir -p "$RIG"
if [ "${1:-}" != --no-install ] && [ ! -e "$tools/.done" ]; then
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/pip" --quiet --disable-pip-version-check install schemathesis==4.32.5
  touch "$tools/.done"
fi
[ -x "$tools/bin/st" ] || { echo "no tools in $tools" >&2; exit 2; }
PRATIQUE=${PRATIQUE:-$root/target/release/pratique}
[ -x "$PRATIQUE" ] || PRATIQUE=$root/target/debug/pratique
[ -x "$PRATIQUE" ] || { echo "there is no program; cargo build" >&2; exit 2; }

# --- an upstream and a mirror on this machine -----------------------------------------------------------
work=$(mktemp -d /tmp/pratique-openapi.XXXXXX)
pids=()
tidy() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap tidy EXIT
python3 "$here/upstream.py" "$work/port" &
pids+=($!)
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
nodes=$(free_port) admins=$(free_port)
cp "$here/policy.yaml" "$work/policy.yaml"
cat >"$work/pratique.toml" <<TOML
data_dir = "$work/data"
policy = "$work/policy.yaml"
[node]
listen = "127.0.0.1:$nodes"
[admin]
listen = "127.0.0.1:$admins"
TOML
# Whatever is asked for, nobody outside is asked.
for registry in up.test docker.io; do
  cat >>"$work/pratique.toml" <<TOML
[[upstream]]
registry = "$registry"
url = "http://127.0.0.1:$(cat "$work/port")"
danger_plain_http = true
TOML
done
"$PRATIQUE" serve --config "$work/pratique.toml" >"$work/serve.log" 2>&1 &
pids+=($!)
for _ in $(seq 300); do curl -sf "http://127.0.0.1:$admins/readyz" >/dev/null 2>&1 && break; sleep 0.1; done
ask() { "$PRATIQUE" --config "$work/pratique.toml" "$@"; }
ask request up.test/asked/app:1.{0,1,2} --reason "to look at" >/dev/null
ask approve R-1 --reason reviewed >/dev/null
ask prefetch up.test/open/app:1.0 --pin >/dev/null
ask token new looker --role viewer >"$work/viewer"
ask user add alice --role approver >/dev/null

# --- the questions --------------------------------------------------------------------------------------
without=ensure_resource_availability,use_after_free,object_level_authorization,ignored_auth,missing_required_header
# look WHO TOKEN_FILE ARGUMENTS...
look() {
  local who=$1 token=$2
  shift 2
  printf '\n== as %s\n' "$who"
  # It leaves notes of what failed where it runs.
  cd "$work"
  TOKEN=$(tr -d '[:space:]' <"$token") timeout -k 10 240 "$tools/bin/st" --config-file "$here/schemathesis.toml" run \
    --exclude-checks "$without${also:+,$also}" --suppress-health-check all --warnings off --no-shrink --no-color "$@" \
    "http://127.0.0.1:$admins/api/v1/openapi.json"
}
failed=0
known=(--phases examples,coverage --max-time 60)
random=(--phases fuzzing --max-examples "$EXAMPLES" --max-time 120)
# Tokens are ended at the very end: schemathesis reads their names, and would end its own.
all=(--exclude-operation-id delete_tokens_name)
look viewer "$work/viewer" "${known[@]}" || failed=1
look administrator "$work/data/admin.token" "${known[@]}" "${all[@]}" || failed=1
if [ "$EXAMPLES" -gt 0 ]; then
  also=negative_data_rejection look "administrator, at random" "$work/data/admin.token" "${random[@]}" "${all[@]}" || failed=1
fi
look "administrator who ends tokens" "$work/data/admin.token" "${known[@]}" --include-operation-id delete_tokens_name || failed=1
if grep -q panicked "$work/serve.log"; then grep panicked "$work/serve.log"; failed=1; fi
exit $failed
