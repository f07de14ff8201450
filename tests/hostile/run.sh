#!/bin/bash
# Scans images that are made to hide something, to take all memory or never to end, each by `pratique scan` in a
# process of its own, and prints a table: verdict, seconds, and the most memory (VmHWM of that process).
#
#   tests/hostile/run.sh [OPTIONS] [IMAGE...]
#     --list          which images there are
#     --seconds N     how much of the processor one scan may take, default 60; by the clock it may be five times that
#     --output FILE   the table, too
#     --scratch DIR   where 2 GB are free, default the temporary directory
#   PRATIQUE=PROGRAM  the program to test; default: the release build of this checkout, built if needed
#
# Fails when one takes more than 256 MiB or its time, when an image that is not clean is said to be, or when one in
# which there is nothing to find is not. Needs python3, no root and no network; about five minutes.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
case " $* " in *" --help "* | *" -h "*) sed -n '2,/^set -/p' "$0" | sed '/^set -/d; s/^# \{0,1\}//'; exit 0 ;; esac
if [ -z "${PRATIQUE:-}" ]; then
  (cd "$PROJECT" && cargo build --quiet --release --locked --bin pratique)
  PRATIQUE=$(cd "$PROJECT" && cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/pratique
fi
PRATIQUE=$(realpath "$PRATIQUE")
[ -x "$PRATIQUE" ] || { echo "no program at $PRATIQUE" >&2; exit 2; }
PYTHONDONTWRITEBYTECODE=1 exec python3 "$HERE/run.py" --pratique "$PRATIQUE" "$@"
