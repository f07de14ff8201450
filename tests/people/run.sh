#!/bin/bash
# Signs in for real: in Chromium, with a password and codes of an authenticator, and at oidc-provider, the
# certified implementation of OpenID Connect, by three kinds of keys and clients. Then the provider is
# stopped, and passwords and tokens still work. axe looks at every page of signing in, and the QR code is
# read back.
#
# Needs root on Debian for the first run: it installs chromium and node by apt, and oidc-provider,
# playwright-core, axe-core, jsqr and pngjs by npm into a folder of its own. After that it opens no
# connection but to this machine.
#
#   tests/people/run.sh [--out FOLDER]      screenshots and logs [default: a new folder in /tmp]
#
# PRATIQUE is the program [default: target/release/pratique, or target/debug/pratique].
# PEOPLE_TOOLS is the folder for npm's packages [default: /var/tmp/pratique-people].
set -euo pipefail
cd "$(dirname "$0")"
HERE=$PWD
ROOT=$(cd ../.. && pwd)
TOOLS=${PEOPLE_TOOLS:-/var/tmp/pratique-people}
PACKAGES=(oidc-provider@9 playwright-core@1 axe-core@4 jsqr@1 pngjs@7)
OUT=
while [ $# -gt 0 ]; do
  case $1 in
    --out) OUT=$(mkdir -p "$2" && cd "$2" && pwd); shift 2 ;;
    -h | --help) sed -n '2,15p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) printf 'run: %s is no option; see --help\n' "$1" >&2; exit 64 ;;
  esac
done
OUT=${OUT:-$(mktemp -d /tmp/pratique-people.XXXXXX)}
PROGRAMS=()
source "$ROOT/tests/browser/install.sh"

# --- one walk for each kind of key and client -----------------------------------------------------------
# The mirror is 127.0.0.1 and the provider localhost: two sites, as in use.
walk() {
  local keys=$1 login=$2 NODES ADMINS PROVIDER
  NODES=$(free_port) ADMINS=$(free_port) PROVIDER=$(free_port)
  local dir=$WORK/$keys
  mkdir -p "$dir"
  printf 's3cret %%&+: of the client' >"$dir/client.secret"
  {
    printf 'data_dir = "%s"\n[node]\nlisten = "127.0.0.1:%s"\n' "$dir/data" "$NODES"
    printf '[admin]\nlisten = "127.0.0.1:%s"\npublic_url = "http://127.0.0.1:%s"\n' "$ADMINS" "$ADMINS"
    printf '[admin.oidc]\nissuer = "http://localhost:%s"\nclient_id = "pratique"\n' "$PROVIDER"
    [ "$login" = none ] || printf 'client_secret_file = "%s"\n' "$dir/client.secret"
    printf 'label = "the house"\nscopes = ["profile", "groups"]\n'
    printf '[[admin.oidc.role]]\ngroup = "security"\nrole = "approver"\n'
    printf '[[admin.oidc.role]]\ngroup = "staff"\nrole = "viewer"\n'
  } >"$dir/pratique.toml"
  TOOLS="$TOOLS" KEYS="$keys" LOGIN="$login" PORT="$PROVIDER" SECRET_FILE="$dir/client.secret" \
    BACK="http://127.0.0.1:$ADMINS/login/oidc/callback" \
    node "$HERE/provider.mjs" >"$OUT/provider-$keys.log" 2>&1 &
  local provider=$!
  pids+=("$provider")
  "$PRATIQUE" serve --config "$dir/pratique.toml" >"$OUT/serve-$keys.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 300); do
    curl -sf "http://127.0.0.1:$ADMINS/readyz" >/dev/null 2>&1 &&
      curl -sf "http://localhost:$PROVIDER/.well-known/openid-configuration" >/dev/null 2>&1 && break
    sleep 0.1
  done
  say "$keys, client secret: $login"
  TOOLS="$TOOLS" OUT="$OUT" ADMINS="http://127.0.0.1:$ADMINS" PROVIDER="http://localhost:$PROVIDER" \
    PROVIDER_PID="$provider" PRATIQUE="$PRATIQUE" CONFIG="$dir/pratique.toml" KEYS="$keys" \
    TOKEN_FILE="$dir/data/admin.token" CHROMIUM="$(command -v chromium)" LOCAL="$3" \
    node "$HERE/walk.mjs"
  if grep -qiE "s3cret|code=|otpauth" "$OUT/serve-$keys.log"; then die "the log tells a secret"; fi
}
walk RS256 client_secret_basic yes
walk ES256 client_secret_post no
walk EdDSA none no
say "done; screenshots and logs in $OUT"
