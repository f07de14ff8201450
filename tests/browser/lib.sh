# What both walks need: a browser, an upstream and a mirror on this machine. Sourced, with HERE, ROOT, TOOLS, OUT and
# POLICY set; sets PRATIQUE, WORK, NODES, ADMINS and UPSTREAM, and takes everything along when it ends.
# shellcheck shell=bash disable=SC2034,SC2153 # names shared by sourcing

say() { printf '== %s\n' "$*"; }
die() { printf 'run: %s\n' "$*" >&2; exit 2; }

# --- what it needs --------------------------------------------------------------------------------------
missing=()
for program in "${PROGRAMS[@]}"; do command -v "$program" >/dev/null || missing+=("$program"); done
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
cp "$POLICY" "$WORK/policy.yaml"
cat >"$WORK/pratique.toml" <<TOML
data_dir = "$WORK/data"
policy = "$WORK/policy.yaml"
[node]
listen = "127.0.0.1:$NODES"
[admin]
listen = "127.0.0.1:$ADMINS"
public_url = "http://127.0.0.1:$ADMINS"
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
