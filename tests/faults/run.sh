#!/bin/bash
# Crashes and failing disks under the real program: kills and errors at the n-th system call, power cuts, full and
# read-only disks, limits, rot. See README.md.
#
#   tests/faults/run.sh [OPTIONS] [PART...]
#     PART              first-start start-up ingest approval archiving eviction power-cut disks, or disks:CASE; default: all
#     --full            every n instead of a few, and 100 power cuts
#     --most COUNT      n tried per system call and fault (default 3: 1, 2, 3; then 5, 8, 13, ...)
#     --cuts COUNT      power cuts (default 8)
#   PRATIQUE=PROGRAM      the program to test; default: the release build of this checkout, built if needed
#   FAULTS=DIRECTORY      scratch directory, default /var/tmp/pratique-faults
#   SUITE_LIMIT=SECONDS   limit for the whole run, default 1800 (with --full 14400)
#
# Needs root on Linux, python3 and strace (fetched by apt-get where it is missing, and faketime). What the machine
# cannot do is skipped, said and counted.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)

limit=1800
for argument in "$@"; do
  case $argument in
    --full) limit=14400 ;;
    --help | -h) sed -n '2,/^set /p' "$0" | sed '/^set /d; s/^# \{0,1\}//'; exit 0 ;;
  esac
done
[ "$(id -u)" = 0 ] || { echo "run.sh needs root" >&2; exit 2; }
for tool in strace faketime; do
  if ! command -v $tool >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $tool >/dev/null 2>&1 || echo "no $tool, and apt-get cannot fetch it"
  fi
done
if [ -z "${PRATIQUE:-}" ]; then
  echo "cargo build --release --locked"
  (cd "$PROJECT" && cargo build --quiet --release --locked --bin pratique)
  PRATIQUE=$(cd "$PROJECT" && cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/pratique
fi
PRATIQUE=$(realpath "$PRATIQUE")
[ -x "$PRATIQUE" ] || { echo "no program at $PRATIQUE" >&2; exit 2; }
FAULTS=${FAULTS:-/var/tmp/pratique-faults}
mkdir -p "$FAULTS"
exec 8>"$FAULTS/.lock"
flock -n 8 || { echo "another run uses $FAULTS" >&2; exit 2; }
for variable in http_proxy https_proxy HTTP_PROXY HTTPS_PROXY; do unset $variable; done
# A mount namespace of its own: whatever is mounted is gone when it ends. A PID namespace: so is whatever runs.
exec unshare --mount --pid --fork --kill-child --mount-proc \
  timeout -k 10 "${SUITE_LIMIT:-$limit}" python3 -u "$HERE/faults.py" --pratique "$PRATIQUE" --folder "$FAULTS" "$@"
