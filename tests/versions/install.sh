#!/bin/bash
# Gets the tools that versions are compared by, into $TOOLS where Debian bookworm's own are too old, and prints what
# they are. Idempotent. Versions move within a suite; nothing here asks for an exact one but of npm's.
set -euo pipefail
TOOLS=${TOOLS:?}
mkdir -p "$TOOLS"/{apt/lists/partial,apt/cache/partial,debs}
die() { printf 'install: %s\n' "$*" >&2; exit 2; }
command -v apt-get >/dev/null || die "needs Debian's apt-get"

packages=(ca-certificates dpkg php-cli python3 python3-packaging python3-pip python3-rpm ruby)
command -v java >/dev/null || packages+=(default-jre-headless)
command -v npm >/dev/null || packages+=(nodejs npm)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "   apt-get install ${missing[*]}"
  timeout 300 apt-get -q update >"$TOOLS/apt.log" 2>&1 || echo "   apt-get update complained, see $TOOLS/apt.log"
  DEBIAN_FRONTEND=noninteractive timeout 900 apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${missing[@]}" >>"$TOOLS/apt.log" 2>&1 </dev/null ||
    { tail -5 "$TOOLS/apt.log" >&2; die "apt-get install failed"; }
fi

# --- trixie's Composer, Maven and Go, beside the system -----------------------------------------------------------
apt_beside() { # apt-get with lists and cache of its own
  timeout 300 apt-get -q -o Dir::Etc::SourceList="$TOOLS/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$TOOLS/apt/lists" -o Dir::Cache="$TOOLS/apt/cache" -o APT::Sandbox::User=root "$@" \
    >>"$TOOLS/apt.log" 2>&1 </dev/null
}
unpack() { # DIRECTORY PACKAGE...: the packages' files under $TOOLS/DIRECTORY
  local root=$TOOLS/$1 mirror package deb
  shift
  [ ! -e "$root/.done" ] || return 0
  mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
    grep -v snapshot | head -1 | tr -d ' ' || true)
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s trixie main\n' \
    "${mirror:-http://deb.debian.org/debian}" >"$TOOLS/apt/sources.list"
  apt_beside update || die "cannot read the package lists of trixie, see $TOOLS/apt.log"
  rm -rf "$root"
  mkdir -p "$root"
  for package in "$@"; do
    echo "   $package from trixie"
    rm -f "$TOOLS/debs/$package"_*.deb
    (cd "$TOOLS/debs" && apt_beside download "$package/trixie") || die "cannot get $package, see $TOOLS/apt.log"
    for deb in "$TOOLS/debs/$package"_*.deb; do dpkg -x "$deb" "$root"; done
  done
  touch "$root/.done"
}
unpack composer php-composer-semver
unpack maven libmaven3-core-java
unpack go golang-1.24-go golang-1.24-src

# --- what npm, PyPI and Go have as modules --------------------------------------------------------------
if [ ! -e "$TOOLS/node_modules/semver" ]; then
  timeout 300 npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$TOOLS" semver@7.7.2 \
    >"$TOOLS/npm.log" 2>&1 || { tail -5 "$TOOLS/npm.log" >&2; die "npm install failed"; }
fi
for package in univers==32.0.1 cvss==3.6; do
  name=${package%%==*}
  [ ! -e "$TOOLS/$name/$name" ] || continue
  timeout 300 /usr/bin/python3 -m pip install -q --disable-pip-version-check --only-binary :all: --target "$TOOLS/$name" \
    "$package" >"$TOOLS/pip.log" 2>&1 || { tail -5 "$TOOLS/pip.log" >&2; die "pip install $package failed"; }
done
HERE=$(cd "$(dirname "$0")" && pwd)
export GOROOT=$TOOLS/go/usr/lib/go-1.24 GOCACHE=$TOOLS/go-cache GOPATH=$TOOLS/go-path GOTOOLCHAIN=local GOFLAGS=-mod=mod GOPROXY=off
source=$TOOLS/go-source
rm -rf "$source"
mkdir -p "$source/semver"
cp "$HERE/tools/compare.go" "$source/main.go"
# The copy that the go command itself is built with.
cp "$GOROOT/src/cmd/vendor/golang.org/x/mod/semver/semver.go" "$source/semver/"
printf 'module compare\ngo 1.24\n' >"$source/go.mod"
(cd "$source" && timeout 300 nice "$GOROOT/bin/go" build -o "$TOOLS/compare-go" .) || die "cannot build tools/compare.go"

printf '   dpkg %s\n' "$(dpkg-query -W -f '${Version}' dpkg)"
printf '   rpm %s\n' "$(dpkg-query -W -f '${Version}' python3-rpm)"
printf '   packaging %s\n' "$(dpkg-query -W -f '${Version}' python3-packaging)"
printf '   RubyGems %s\n' "$(gem --version)"
printf '   composer/semver %s\n' "$(dpkg-deb -f "$(find "$TOOLS/debs" -name 'php-composer-semver_*.deb')" Version)"
printf '   Maven %s\n' "$(dpkg-deb -f "$(find "$TOOLS/debs" -name 'libmaven3-core-java_*.deb')" Version)"
printf '   Go %s\n' "$(head -1 "$GOROOT/VERSION")"
printf '   npm semver 7.7.2, univers 32.0.1, cvss 3.6\n'
