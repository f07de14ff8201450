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
say() { printf '== %s\n' "$*"; }
die() { printf 'run: %s\n' "$*" >&2; exit 2; }

# --- what it needs --------------------------------------------------------------------------------------
missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v node >/dev/null || missing+=(nodejs npm)
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || die "needs root to install ${missing[*]}"
  say "apt-get install ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive timeout 900 apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=600 "${missing[@]}" >"$OUT/apt.log" 2>&1 </dev/null ||
    { tail -5 "$OUT/apt.log" >&2; die "apt-get install failed"; }
fi
if ! [ -d "$TOOLS/node_modules/playwright-core" ] || ! [ -d "$TOOLS/node_modules/axe-core" ]; then
  say "npm install playwright-core axe-core into $TOOLS"
  mkdir -p "$TOOLS"
  (cd "$TOOLS" && timeout 300 npm install --no-audit --no-fund --ignore-scripts --silent \
    playwright-core@1 axe-core@4) >"$OUT/npm.log" 2>&1 ||
    { tail -5 "$OUT/npm.log" >&2; die "npm install failed"; }
fi

PRATIQUE=${PRATIQUE:-$ROOT/target/release/pratique}
[ -x "$PRATIQUE" ] || PRATIQUE=$ROOT/target/debug/pratique
[ -x "$PRATIQUE" ] || die "there is no program; cargo build --release"
say "$("$PRATIQUE" --version), $(chromium --version 2>/dev/null | head -1)," \
  "playwright-core $(node -p "require('$TOOLS/node_modules/playwright-core/package.json').version")," \
  "axe-core $(node -p "require('$TOOLS/node_modules/axe-core/package.json').version")"

# --- an upstream and a mirror on this machine -----------------------------------------------------------
WORK=$(mktemp -d /tmp/pratique-walk.XXXXXX)
pids=()
tidy() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$WORK"
}
trap tidy EXIT
node "$HERE/upstream.mjs" "$WORK/upstream.port" >"$OUT/upstream.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do [ -s "$WORK/upstream.port" ] && break; sleep 0.1; done
UPSTREAM=$(cat "$WORK/upstream.port")
free_port() { node -e 's=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'; }
NODES=$(free_port) ADMINS=$(free_port)
mkdir "$WORK/feeds"
node "$HERE/upstream.mjs" --feeds "$WORK/feeds"
"$PRATIQUE" db import --to "$WORK/vulnerabilities.db" "$WORK/feeds" >"$OUT/db.log"
cp "$HERE/policy.yaml" "$WORK/policy.yaml"
cat >"$WORK/pratique.toml" <<TOML
data_dir = "$WORK/data"
policy = "$WORK/policy.yaml"
[node]
listen = "127.0.0.1:$NODES"
[admin]
listen = "127.0.0.1:$ADMINS"
[scan]
database = "$WORK/vulnerabilities.db"
[[upstream]]
registry = "registry.example"
url = "http://127.0.0.1:$UPSTREAM"
danger_plain_http = true
tag_ttl = "0s"
TOML
"$PRATIQUE" serve --config "$WORK/pratique.toml" >"$OUT/serve.log" 2>&1 &
pids+=($!)
for _ in $(seq 300); do
  curl -sf "http://127.0.0.1:$ADMINS/readyz" >/dev/null 2>&1 && break
  sleep 0.1
done

# --- the walk -------------------------------------------------------------------------------------------
say "walking; screenshots in $OUT"
NODE_PATH="$TOOLS/node_modules" TOOLS="$TOOLS" OUT="$OUT" NODES="http://127.0.0.1:$NODES" \
  ADMINS="http://127.0.0.1:$ADMINS" UPSTREAM="http://127.0.0.1:$UPSTREAM" \
  TOKEN_FILE="$WORK/data/admin.token" CHROMIUM="$(command -v chromium)" \
  node "$HERE/walk.mjs"
