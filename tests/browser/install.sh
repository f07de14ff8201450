# A browser, node, packages of npm and the program, for every suite that has a browser. Sourced, with ROOT, TOOLS, OUT,
# PROGRAMS (of Debian, beside these) and PACKAGES (of npm, as NAME@VERSION) set; sets PRATIQUE, WORK and pids, and takes
# everything along when it ends.
# shellcheck shell=bash disable=SC2034,SC2153 # names shared by sourcing

say() { printf '== %s\n' "$*"; }
die() { printf 'run: %s\n' "$*" >&2; exit 2; }
version() { node -p "JSON.parse(require('fs').readFileSync('$TOOLS/node_modules/$1/package.json')).version"; }
free_port() { node -e 's=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'; }

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
for package in "${PACKAGES[@]}"; do
  [ -d "$TOOLS/node_modules/${package%@*}" ] && continue
  say "npm install ${PACKAGES[*]} into $TOOLS"
  mkdir -p "$TOOLS"
  (cd "$TOOLS" && timeout 300 npm install --no-audit --no-fund --ignore-scripts --silent "${PACKAGES[@]}") \
    >"$OUT/npm.log" 2>&1 || { tail -5 "$OUT/npm.log" >&2; die "npm install failed"; }
  break
done

PRATIQUE=${PRATIQUE:-$ROOT/target/release/pratique}
[ -x "$PRATIQUE" ] || PRATIQUE=$ROOT/target/debug/pratique
[ -x "$PRATIQUE" ] || die "there is no program; cargo build --release"
versions="$("$PRATIQUE" --version), $(chromium --version 2>/dev/null | head -1), node $(node --version)"
for package in "${PACKAGES[@]}"; do versions+=", ${package%@*} $(version "${package%@*}")"; done
say "$versions"

WORK=$(mktemp -d /tmp/pratique-walk.XXXXXX)
pids=()
tidy() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$WORK"
}
trap tidy EXIT
