#!/bin/bash
# Gets every client and server the suite runs, for Debian bookworm as root, and prints their versions.
#
# What bookworm has is installed by apt; newer versions are unpacked from trixie and sid beside the system
# (dpkg -x under $RIG/roots), never installed into it. Idempotent: a second run only prints the versions.
# Debian sid moves, so nothing here asks for an exact version, only for the line (1.6, 1.7, 2 or later).
set -euo pipefail
RIG=${RIG:-/var/tmp/pratique-rig}
mkdir -p "$RIG"/{bin,roots,debs,apt/lists/partial,apt/cache/partial,log}
RIG=$(cd "$RIG" && pwd)
exec 9>"$RIG/.install.lock"
timeout 900 flock 9

say() { printf '   %s\n' "$*"; }
die() { printf 'install: %s\n' "$*" >&2; exit 2; }
[ "$(id -u)" = 0 ] || die "needs root (it installs packages and starts containerd)"
command -v apt-get >/dev/null || die "needs Debian's apt-get"

# --- bookworm -------------------------------------------------------------------------------------------
packages=(
  apache2-utils busybox-static ca-certificates containerd crun curl docker-registry iproute2 jq openssl
  podman procps python3 python3-grpcio python3-yaml runc skopeo strace util-linux zstd
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  say "apt-get install ${missing[*]}"
  timeout 300 apt-get -q update >"$RIG/log/apt.log" 2>&1 || say "apt-get update complained, see $RIG/log/apt.log"
  DEBIAN_FRONTEND=noninteractive timeout 900 apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${missing[@]}" >>"$RIG/log/apt.log" 2>&1 </dev/null ||
    { tail -5 "$RIG/log/apt.log" >&2; die "apt-get install failed"; }
fi

# --- trixie and sid, beside the system ------------------------------------------------------------------
debian_mirror() {
  grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
    head -1 | tr -d ' ' || true
}
apt_beside() { # apt-get with lists and cache of its own
  timeout 300 apt-get -q -o Dir::Etc::SourceList="$RIG/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$RIG/apt/lists" -o Dir::Cache="$RIG/apt/cache" -o APT::Sandbox::User=root "$@" \
    >>"$RIG/log/apt.log" 2>&1 </dev/null
}
lists_are_fresh=no
refresh_lists() {
  [ "$lists_are_fresh" = no ] || return 0
  local mirror suite
  mirror=$(debian_mirror)
  for suite in trixie sid; do
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
      "${mirror:-http://deb.debian.org/debian}" "$suite"
  done >"$RIG/apt/sources.list"
  apt_beside update || die "cannot read the package lists of trixie and sid, see $RIG/log/apt.log"
  lists_are_fresh=yes
}
unpack() { # PACKAGE SUITE DIRECTORY: the package's files under $RIG/roots/DIRECTORY
  local package=$1 suite=$2 root=$RIG/roots/$3 attempt
  [ ! -e "$root/.done" ] || return 0
  refresh_lists
  say "$package from $suite"
  for attempt in 1 2 3; do
    rm -rf "$RIG/debs/$3" "$root"
    mkdir -p "$RIG/debs/$3" "$root"
    if (cd "$RIG/debs/$3" && apt_beside download "$package/$suite" && dpkg -x ./*.deb "$root"); then
      touch "$root/.done"
      return 0
    fi
    sleep $((attempt * 3))
  done
  die "cannot get $package from $suite, see $RIG/log/apt.log"
}
# A program of sid may want a newer C library than the system's: then it runs by sid's own loader.
provide() { # NAME PROGRAM SUITE
  local name=$1 program=$2 suite=$3 loader library
  [ -x "$program" ] || die "$name: $program is not there"
  if ldd "$program" 2>&1 | grep -q 'not found'; then
    for library in libc6 libgcc-s1 libsystemd0 libseccomp2 libdevmapper1.02.1 libcap2 libudev1 libselinux1 libpcre2-8-0; do
      unpack "$library" "$suite" "libs-$suite-$library"
    done
    loader=$(find "$RIG/roots/libs-$suite-libc6" -name 'ld-linux-x86-64.so.2' -type f | head -1)
    library=$(find "$RIG"/roots/libs-"$suite"-* -type d -name x86_64-linux-gnu | paste -sd:)
    printf '#!/bin/sh\nexec %q --library-path %q --argv0 "$0" %q "$@"\n' "$loader" "$library" "$program" >"$RIG/bin/$name"
    chmod +x "$RIG/bin/$name"
  else
    ln -sfn "$program" "$RIG/bin/$name"
  fi
}
unpack containerd trixie containerd-1.7
unpack containerd sid containerd-2
unpack cosign trixie cosign-2
unpack cosign sid cosign-3
unpack crane sid crane
unpack notation sid notation
unpack oras sid oras
unpack docker.io sid docker
unpack docker-cli sid docker-cli

provide containerd-1.6 /usr/bin/containerd bookworm
provide ctr-1.6 /usr/bin/ctr bookworm
provide containerd-1.7 "$RIG/roots/containerd-1.7/usr/bin/containerd" trixie
provide ctr-1.7 "$RIG/roots/containerd-1.7/usr/bin/ctr" trixie
provide containerd-2 "$RIG/roots/containerd-2/usr/bin/containerd" sid
provide ctr-2 "$RIG/roots/containerd-2/usr/bin/ctr" sid
provide cosign-2 "$RIG/roots/cosign-2/usr/bin/cosign" trixie
provide cosign-3 "$RIG/roots/cosign-3/usr/bin/cosign" sid
provide crane "$RIG/roots/crane/usr/bin/crane" sid
provide notation "$RIG/roots/notation/usr/bin/notation" sid
provide oras "$RIG/roots/oras/usr/bin/oras" sid
provide dockerd "$RIG/roots/docker/usr/sbin/dockerd" sid
provide docker "$RIG/roots/docker-cli/usr/bin/docker" sid

# --- versions -------------------------------------------------------------------------------------------
package_version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null; }
deb_version() { local deb; deb=$(find "$RIG/debs/$1" -name '*.deb' | head -1); dpkg-deb -f "$deb" Version; }
{
  for line in 1.6 1.7 2; do
    printf 'containerd %s\t%s\n' "$line" "$(timeout 10 "$RIG/bin/containerd-$line" --version | awk '{print $3}')"
  done
  printf 'docker engine\t%s\n' "$(deb_version docker)"
  printf 'docker-registry\t%s\n' "$(package_version docker-registry)"
  printf 'skopeo\t%s\n' "$(timeout 10 skopeo --version | awk '{print $3}')"
  printf 'podman\t%s\n' "$(timeout 10 podman --version | awk '{print $3}')"
  printf 'crane\t%s\n' "$(deb_version crane)"
  printf 'oras\t%s\n' "$(deb_version oras)"
  printf 'notation\t%s\n' "$(deb_version notation)"
  printf 'cosign 2\t%s\n' "$(deb_version cosign-2)"
  printf 'cosign 3\t%s\n' "$(deb_version cosign-3)"
} >"$RIG/versions.tsv"
sed 's/^/   /' "$RIG/versions.tsv"
timeout 10 "$RIG/bin/containerd-1.6" --version | grep -q ' 1\.6\.' || die "the system's containerd is not a 1.6"
timeout 10 "$RIG/bin/containerd-1.7" --version | grep -q ' 1\.7\.' || die "trixie's containerd is not a 1.7"
