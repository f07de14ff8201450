# What both walks need: a browser, an upstream and a mirror on this machine. Sourced, with HERE, ROOT, TOOLS, OUT and
# POLICY set; sets PRATIQUE, WORK, NODES, ADMINS and UPSTREAM, and takes everything along when it ends.
# shellcheck shell=bash disable=SC2034,SC2153 # names shared by sourcing

PACKAGES=(playwright-core@1 axe-core@4)
source "$HERE/install.sh"

# --- an upstream and a mirror on this machine -----------------------------------------------------------
node "$HERE/upstream.mjs" "$WORK/upstream.port" >"$OUT/upstream.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do [ -s "$WORK/upstream.port" ] && break; sleep 0.1; done
UPSTREAM=$(cat "$WORK/upstream.port")
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
