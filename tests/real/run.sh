#!/bin/bash
# Real containerd, Docker, podman, skopeo, crane, oras, cosign and docker-registry against Pratique.
#
#   tests/real/run.sh [OPTIONS] [CASE...]      CASE is a name or a pattern such as 'containerd-1.7-*'
#     --list         print the cases and end
#     --keep         keep what the cases leave in $RIG/run (failed ones always leave their logs)
#     --write-docs   write the table of clients into docs/clients.md
#     --no-install   the tools are there already
#   RIG=DIRECTORY         scratch directory, default /var/tmp/pratique-rig (about 6 GB)
#   PRATIQUE=PROGRAM      the program to test; default: the release build of this checkout, built if needed
#   SUITE_LIMIT=SECONDS   limit for the whole run, default 2400
#
# Needs root on Debian bookworm. Runs in mount, network and PID namespaces of its own: it meets no other
# service of the machine, reaches nothing outside, and takes everything it started with it when it ends.
# shellcheck disable=SC2154 # names shared by sourcing
source "$(dirname "$0")/lib/common.sh"

usage() { sed -n '2,/^# shellcheck/p' "$0" | sed '/^# shellcheck/d; s/^# \{0,1\}//'; }
patterns=() keep=no write_docs=no install=yes list=no
for argument in "$@"; do
  case $argument in
    --list) list=yes ;;
    --keep) keep=yes ;;
    --write-docs) write_docs=yes ;;
    --no-install) install=no ;;
    --help | -h) usage; exit 0 ;;
    -*) usage >&2; exit 64 ;;
    *) patterns+=("$argument") ;;
  esac
done
source "$HERE/lib/services.sh"
source "$HERE/lib/fixtures.sh"
source "$HERE/lib/registry_of_cases.sh"
wanted=()
for name in "${case_names[@]}"; do
  [ ${#patterns[@]} -gt 0 ] || wanted+=("$name")
  for pattern in "${patterns[@]}"; do
    # shellcheck disable=SC2053 # the argument is meant as a pattern
    if [[ $name == $pattern ]]; then wanted+=("$name"); break; fi
  done
done
[ ${#wanted[@]} -gt 0 ] || { echo "no case is named ${patterns[*]}; --list prints them" >&2; exit 64; }
if [ $list = yes ]; then printf '%s\n' "${wanted[@]}"; exit 0; fi

# --- outside: tools and program -------------------------------------------------------------------------
if [ -z "${INSIDE:-}" ]; then
  [ "$(id -u)" = 0 ] || { echo "run.sh needs root" >&2; exit 2; }
  mkdir -p "$RIG"
  RIG=$(cd "$RIG" && pwd)
  exec 8>"$RIG/.run.lock"
  flock -n 8 || { echo "another run uses $RIG" >&2; exit 2; }
  if [ $install = yes ]; then
    echo "tools in $RIG"
    RIG=$RIG "$HERE/install.sh"
  fi
  if [ -z "${PRATIQUE:-}" ]; then
    echo "cargo build --release --locked"
    (cd "$PROJECT" && cargo build --quiet --release --locked)
    PRATIQUE=$(cd "$PROJECT" && cargo metadata --format-version 1 --no-deps --locked | jq -r .target_directory)/release/pratique
  fi
  PRATIQUE=$(realpath "$PRATIQUE")
  [ -x "$PRATIQUE" ] || { echo "no program at $PRATIQUE" >&2; exit 2; }
  export RIG PRATIQUE INSIDE=1
  # The lock (descriptor 8) goes along, so that a second run waits for all of this one to be gone. unshare ignores
  # SIGTERM while it waits, and takes the whole namespace with it when it is killed.
  watchdog=
  unshare --mount --net --pid --fork --kill-child --mount-proc "$BASH" "$0" "$@" </dev/null &
  inside=$!
  limit=${SUITE_LIMIT:-2400}
  trap 'kill -9 $inside 2>/dev/null || true; [ -z "$watchdog" ] || kill "$watchdog" 2>/dev/null || true' EXIT
  trap 'exit 143' TERM INT HUP
  ( trap 'kill $! 2>/dev/null' TERM; sleep "$limit" & wait $! && echo "the whole run took longer than $limit s" && kill -9 $inside ) 8>&- &
  watchdog=$!
  status=0
  wait $inside || status=$?
  exit $status
fi

# --- inside the namespaces ------------------------------------------------------------------------------
ip link set lo up
rm -rf "$RUN"
mkdir -p "$RUN/cases"
: >"$RUN/table.tsv"
# The registries' names lead to the listener that only a fallback would reach.
printf '127.0.0.1 localhost\n::1 localhost\n%s up.test basic.test token.test registry-1.docker.io\n' $CANARY_ADDRESS >"$RUN/hosts"
mount --bind "$RUN/hosts" /etc/hosts
for variable in http_proxy https_proxy HTTP_PROXY HTTPS_PROXY; do unset $variable; done
trap stop_all EXIT
make_certificates
# Clients trust that listener: a fallback would succeed, not die of its certificate.
export SSL_CERT_FILE=$RUN/tls/ca.crt
printf 'fixtures '
started=$SECONDS
make_fixtures || { echo "could not be made"; tail -20 "$RUN/fixtures.log" "$RUN/upstream.log" 2>/dev/null; exit 1; }
echo "in $((SECONDS - started)) s"
start_upstreams
start_canary

passed=0 failed=0 skipped=0
for name in "${wanted[@]}"; do
  started=$SECONDS status=0
  timeout -k 15 "${case_limit[$name]}" "$BASH" "$HERE/lib/one_case.sh" "$name" || status=$?
  case $status in
    0) passed=$((passed + 1)); echo "ok   $name ($((SECONDS - started)) s)" ;;
    77) skipped=$((skipped + 1)); echo "skip $name: $(cat "$RUN/cases/$name/why")" ;;
    *)
      failed=$((failed + 1))
      why=$(head -c 600 "$RUN/cases/$name/why" 2>/dev/null | tr -cd '[:print:]' || true)
      [ $status != 124 ] || why="not done within ${case_limit[$name]} s"
      echo "FAIL $name: ${why:-status $status} (logs in $RUN/cases/$name)"
      ;;
  esac
  if [ $keep = no ] && [ $status = 0 ]; then rm -rf "$RUN/cases/${name:?}"; fi
done

echo
"$PYTHON" "$HERE/tools/table.py" "$RUN/table.tsv" "$RIG/versions.tsv" | tee "$RUN/table.md"
if [ $write_docs = yes ]; then
  "$PYTHON" "$HERE/tools/table.py" "$RUN/table.tsv" "$RIG/versions.tsv" --into "$PROJECT/docs/clients.md"
fi
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
