#!/bin/bash
# Pits the release binary against docker-registry 2.8 (proxy mode) and nginx (static files) on the
# same files in the same run, on loopback, and writes benches/RESULTS.md.
#
#   benches/compare.sh [--quick] [--guard] [--binary PATH] [--output FILE] [--scratch DIR]
#
# A full run takes about 13 minutes on a quiet machine, --quick under 3; it needs about 12 GB of scratch
# space, which is given back. --guard ends with status 1 when the gates cost more than 5 %. What is
# missing is installed by apt when root, else left out with a message. Build the binary first:
# cargo build --release.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
readonly here
# The whole run, hung servers included.
readonly limit_seconds=1800

missing=()
for pair in nginx:nginx-light docker-registry:docker-registry wrk:wrk openssl:openssl python3:python3; do
    PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
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

# Loopback only: a proxy of the environment would be asked for everything.
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy
export PATH=$PATH:/usr/sbin PYTHONDONTWRITEBYTECODE=1
timeout --signal=TERM --kill-after=30 "$limit_seconds" python3 "$here/compare" "$@"
