#!/bin/bash
# Builds the image without a container engine: the static program in an empty root, as an OCI image layout.
#
#   deploy/image/build.sh OUTPUT_DIRECTORY [--binary PROGRAM] [--tag TAG]
#
# Without --binary the program is built first (deploy/image/binary.sh). SOURCE_DATE_EPOCH is the time of everything;
# unset, it is that of the last commit. The same source gives the same bytes. To put it into a registry:
#   skopeo copy oci:OUTPUT_DIRECTORY:latest docker://registry.example/pratique:0.1.0
#   oras cp --recursive --from-oci-layout OUTPUT_DIRECTORY:latest registry.example/pratique:0.1.0   (with what is attached)
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
[ $# -ge 1 ] || { sed -n '2,10p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 64; }
output=$1 binary='' tag=latest
shift
while [ $# -gt 0 ]; do
  case $1 in
    --binary) binary=$2 ;;
    --tag) tag=$2 ;;
    *) echo "$1 is not known; there are --binary and --tag" >&2; exit 64 ;;
  esac
  shift 2
done
[ ! -e "$output" ] || { echo "$output is there already" >&2; exit 64; }
[ -n "$binary" ] || binary=$("$HERE/binary.sh")
if ldd "$binary" 2>&1 | grep -q '=>'; then echo "$binary is not static; an empty root has no libraries" >&2; exit 1; fi

revision=$(git -C "$PROJECT" rev-parse HEAD 2>/dev/null || true)
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$PROJECT" log -1 --format=%ct 2>/dev/null || echo 0)}
case $(uname -m) in x86_64) architecture=amd64 ;; aarch64) architecture=arm64 ;; *) architecture=$(uname -m) ;; esac
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$PROJECT/Cargo.toml" | head -1)
metadata=$(mktemp)
trap 'rm -f "$metadata"' EXIT
target=$(rustc -vV | sed -n 's/^host: //p')
cargo metadata --locked --format-version 1 --filter-platform "$target" --manifest-path "$PROJECT/Cargo.toml" >"$metadata"
python3 "$HERE/layout.py" --binary "$binary" --output "$output" --tag "$tag" --version "$version" \
  --architecture "$architecture" --epoch "$epoch" --revision "$revision" --toolchain "$(rustc --version)" \
  --metadata "$metadata" --lock "$PROJECT/Cargo.lock"
