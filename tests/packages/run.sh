#!/bin/bash
# What Pratique lists of real images against what syft and Trivy list: kind, name and version of each package, both
# ways. Every difference needs a reason in explained.tsv, and every reason there a difference.
#
#   tests/packages/run.sh [OPTIONS] [IMAGE...]
#     --speed         measure time, processor and memory of Pratique and of syft on the same images, too; that says
#                     something only of a release build on an otherwise idle machine
#     --repeat N      measure each N times, default 5
#     --write-docs    write the tables into tests/packages/RESULTS.md
#     --no-install    tools and images are there already
#   RIG=DIRECTORY         scratch directory, shared with tests/real, default /var/tmp/pratique-rig
#   PRATIQUE=PROGRAM      the program to test; default: the release build of this checkout, built if needed
#   PRATIQUE_TEST_DATA=DIRECTORY  the shared test data, of which three images are made; skipped without
#   SUITE_LIMIT=SECONDS   limit for making the images, default 3600
#
# Needs root on Debian with the network: it installs what it needs (see install.sh), and keeps tools and images (about
# 4 GB) under $RIG/packages. Images are made once; remove $RIG/packages/images to have them made anew.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
RIG=${RIG:-/var/tmp/pratique-rig}
install=yes write_docs=no speed=no repeat=5 images=()
while [ $# -gt 0 ]; do
  case $1 in
    --speed) speed=yes ;;
    --repeat) repeat=${2:?--repeat N}; shift ;;
    --write-docs) write_docs=yes ;;
    --no-install) install=no ;;
    --help | -h) sed -n '2,/^set -/p' "$0" | sed '/^set -/d; s/^# \{0,1\}//'; exit 0 ;;
    -*) echo "unknown option $1; --help tells which there are" >&2; exit 64 ;;
    *) images+=("$1") ;;
  esac
  shift
done
if [ $write_docs = yes ] && [ ${#images[@]} -gt 0 ]; then
  echo "--write-docs goes with a whole run" >&2
  exit 64
fi
[ "$(id -u)" = 0 ] || { echo "run.sh needs root" >&2; exit 2; }
mkdir -p "$RIG/packages"
CACHE=$(cd "$RIG/packages" && pwd)
export CACHE
exec 8>"$RIG/.packages.lock"
flock -n 8 || { echo "another run uses $CACHE" >&2; exit 2; }

if [ $install = yes ]; then
  echo "tools and images in $CACHE"
  "$HERE/install.sh"
  timeout -k 10 "${SUITE_LIMIT:-3600}" "$BASH" "$HERE/images.sh" "${images[@]}" 8>&-
fi
if [ -z "${PRATIQUE:-}" ]; then
  echo "cargo build --release --locked"
  (cd "$PROJECT" && cargo build --quiet --release --locked --bin pratique)
  PRATIQUE=$(cd "$PROJECT" && cargo metadata --format-version 1 --no-deps --locked | jq -r .target_directory)/release/pratique
fi
PRATIQUE=$(realpath "$PRATIQUE")
[ -x "$PRATIQUE" ] || { echo "no program at $PRATIQUE" >&2; exit 2; }

options=()
for image in "${images[@]}"; do options+=(--only "$image"); done
[ $speed = no ] || options+=(--speed "$repeat")
status=0
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -u "$HERE/compare.py" --images "$CACHE/images" --owned "$CACHE/owned" \
  --scratch "$CACHE/run" --pratique "$PRATIQUE" --syft "$CACHE/bin/syft" --trivy "$CACHE/bin/trivy" \
  --versions "$CACHE/versions" --explained "$HERE/explained.tsv" --output "$CACHE/RESULTS.md" "${options[@]}" 8>&- || status=$?
[ $write_docs = no ] || cp "$CACHE/RESULTS.md" "$HERE/RESULTS.md"
exit $status
