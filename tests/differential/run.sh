#!/bin/bash
# Pratique against the real cosign 2, cosign 3 and notation: hundreds of subjects, good and forged; each has to get
# the same verdict from the tool (by its exit status) and from Pratique (by whether a pull is served).
#
#   tests/differential/run.sh [OPTIONS]
#     --quick         a part of the subjects, in about a minute
#     --only PATTERN  the subjects FORM/KEY/VARIANT that the regular expression is found in
#     --write-docs    write the table into tests/differential/RESULTS.md
#     --no-install    the tools are there already
#   RIG=DIRECTORY         scratch directory, shared with tests/real, default /var/tmp/pratique-rig
#   PRATIQUE=PROGRAM      the program to test; default: the release build of this checkout, built if needed
#   SUITE_LIMIT=SECONDS   limit for the whole run, default 1200
#
# Differences are known by explained.tsv, each with why. A difference that is not there, and one there that is none
# any more, fails. Needs root on Debian bookworm. Runs in mount, network and PID namespaces of its own: it reaches
# nothing outside, and takes everything it started with it when it ends.
# shellcheck disable=SC2034,SC2154 # names shared by sourcing
source "$(dirname "$0")/../real/lib/common.sh"
DIFFERENTIAL=$PROJECT/tests/differential

options=() write_docs=no install=yes
while [ $# -gt 0 ]; do
  case $1 in
    --quick) options+=(--quick) ;;
    --only) options+=(--only "${2:?--only PATTERN}"); shift ;;
    --write-docs) write_docs=yes ;;
    --no-install) install=no ;;
    --help | -h) sed -n '2,/^# shellcheck/p' "$0" | sed '/^# shellcheck/d; s/^# \{0,1\}//'; exit 0 ;;
    *) echo "unknown option $1; --help tells which there are" >&2; exit 64 ;;
  esac
  shift
done

if [ $write_docs = yes ] && [ ${#options[@]} -gt 0 ]; then
  echo "--write-docs goes with a whole run" >&2
  exit 64
fi

# --- outside: tools and program -------------------------------------------------------------------------
if [ -z "${INSIDE:-}" ]; then
  [ "$(id -u)" = 0 ] || { echo "run.sh needs root" >&2; exit 2; }
  mkdir -p "$RIG"
  RIG=$(cd "$RIG" && pwd)
  exec 8>"$RIG/.differential.lock"
  flock -n 8 || { echo "another run uses $RIG" >&2; exit 2; }
  if [ $install = yes ]; then
    echo "tools in $RIG"
    RIG=$RIG "$HERE/install.sh"
  fi
  if [ -z "${PRATIQUE:-}" ]; then
    echo "cargo build --release --locked"
    (cd "$PROJECT" && cargo build --quiet --release --locked --bin pratique)
    PRATIQUE=$(cd "$PROJECT" && cargo metadata --format-version 1 --no-deps --locked | jq -r .target_directory)/release/pratique
  fi
  PRATIQUE=$(realpath "$PRATIQUE")
  [ -x "$PRATIQUE" ] || { echo "no program at $PRATIQUE" >&2; exit 2; }
  export RIG PRATIQUE INSIDE=1
  inside=("${options[@]}")
  [ $write_docs = no ] || inside+=(--write-docs)
  exec timeout -k 10 "${SUITE_LIMIT:-1200}" unshare --mount --net --pid --fork --kill-child --mount-proc \
    "$BASH" "$0" "${inside[@]}" </dev/null
fi

# --- inside the namespaces ------------------------------------------------------------------------------
KEPT=$RIG/differential # what is left of a run: the table, the policy, the logs
RUN=$KEPT/run
FIXTURES=$RUN # where the registry of services.sh keeps its storage
source "$HERE/lib/services.sh"
ip link set lo up
rm -rf "$KEPT"
mkdir -p "$RUN"
# Thousands of small files that nobody needs afterwards.
mount -t tmpfs -o size=2g tmpfs "$RUN"
mkdir "$RUN/registry"
for variable in http_proxy https_proxy HTTP_PROXY HTTPS_PROXY; do unset $variable; done
trap stop_all EXIT
READ_ONLY=false registry upstream $UPSTREAM_PORT "" ""
status=0
PYTHONDONTWRITEBYTECODE=1 "$PYTHON" -u "$DIFFERENTIAL/compare.py" --registry "127.0.0.1:$UPSTREAM_PORT" --rig "$RIG" \
  --scratch "$RUN" --pratique "$PRATIQUE" --project "$PROJECT" --output "$KEPT/RESULTS.md" "${options[@]}" || status=$?
cp "$RUN"/{pratique.log,policy.yaml,upstream.log} "$KEPT/" 2>/dev/null || true
[ $write_docs = no ] || cp "$KEPT/RESULTS.md" "$DIFFERENTIAL/RESULTS.md"
exit $status
