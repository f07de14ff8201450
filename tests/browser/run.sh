#!/bin/bash
# Walks through the page in a real browser: a pull that is refused, an approver who signs in, sees evidence
# and difference, approves, the pull that works, the revocation, the pull that is refused again; then every
# page at two widths and in both schemes, by keyboard, without a script, and before axe.
#
# Needs root on Debian for the first run: it installs chromium and node by apt, and playwright-core and
# axe-core by npm into a folder of its own. After that it opens no connection but to this machine.
#
#   tests/browser/run.sh [--out FOLDER]      screenshots and axe's findings [default: a new folder in /tmp]
#
# PRATIQUE is the program [default: target/release/pratique, or target/debug/pratique].
# BROWSER_TOOLS is the folder for npm's packages [default: /var/tmp/pratique-browser].
set -euo pipefail
cd "$(dirname "$0")"
HERE=$PWD
ROOT=$(cd ../.. && pwd)
TOOLS=${BROWSER_TOOLS:-/var/tmp/pratique-browser}
OUT=
while [ $# -gt 0 ]; do
  case $1 in
    --out) OUT=$(mkdir -p "$2" && cd "$2" && pwd); shift 2 ;;
    -h | --help) sed -n '2,13p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) printf 'run: %s is no option; see --help\n' "$1" >&2; exit 64 ;;
  esac
done
OUT=${OUT:-$(mktemp -d /tmp/pratique-browser.XXXXXX)}
POLICY=$HERE/policy.yaml
PROGRAMS=()
source "$HERE/lib.sh"

# --- the walk -------------------------------------------------------------------------------------------
say "walking; screenshots in $OUT"
NODE_PATH="$TOOLS/node_modules" TOOLS="$TOOLS" OUT="$OUT" NODES="http://127.0.0.1:$NODES" \
  ADMINS="http://127.0.0.1:$ADMINS" UPSTREAM="http://127.0.0.1:$UPSTREAM" \
  TOKEN_FILE="$WORK/data/admin.token" CHROMIUM="$(command -v chromium)" \
  node "$HERE/walk.mjs"
