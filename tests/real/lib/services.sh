# Starting and stopping what the cases need. Sourced after common.sh. Everything started here ends with the
# process that started it (a case, or the run), and with the run's PID namespace at the latest.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

pids=()
stop_all() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do
    timeout 10 tail --pid="$pid" -f /dev/null 2>/dev/null || kill -9 "$pid" 2>/dev/null || true
  done
  pids=()
}
# background LOG COMMAND...: the process id is in $STARTED.
background() {
  local log=$1
  shift
  "$@" >>"$log" 2>&1 </dev/null &
  STARTED=$!
  pids+=("$STARTED")
}

# --- certificates ---------------------------------------------------------------------------------------

make_certificates() {
  local dir=$RUN/tls
  mkdir -p "$dir"
  (
    cd "$dir"
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj "/CN=test CA" \
      -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
    openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj "/CN=server"
    printf 'subjectAltName=DNS:localhost,DNS:up.test,DNS:basic.test,DNS:token.test,DNS:registry-1.docker.io,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' >server.ext
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile server.ext -out server.crt
    openssl req -x509 -newkey rsa:2048 -nodes -keyout token.key -out token.crt -days 30 -subj "/CN=token signer"
    htpasswd -Bbn "$UPSTREAM_USER" "$UPSTREAM_PASSWORD" >htpasswd
  ) >"$RUN/tls.log" 2>&1 || { cat "$RUN/tls.log" >&2; return 1; }
}

# --- upstream registries: one storage, three doors ------------------------------------------------------

registry() { # NAME PORT EXTRA-YAML EXTRA-HTTP-YAML
  cat >"$RUN/$1.yml" <<YAML
version: 0.1
log: {level: info, formatter: json, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: ${STORAGE:-$FIXTURES/registry}}
  maintenance: {readonly: {enabled: ${READ_ONLY:-true}}}
http:
  addr: 127.0.0.1:$2
  relativeurls: true
$4
$3
YAML
  background "$RUN/$1.log" env OTEL_TRACES_EXPORTER=none docker-registry serve "$RUN/$1.yml"
  wait_until 20 port_answers "127.0.0.1:$2" || { tail -3 "$RUN/$1.log" >&2; return 1; }
}
start_upstreams() {
  registry upstream $UPSTREAM_PORT "" ""
  registry basic $BASIC_PORT "auth: {htpasswd: {realm: basic, path: $RUN/tls/htpasswd}}" \
    "  tls: {certificate: $RUN/tls/server.crt, key: $RUN/tls/server.key}"
  registry token $TOKEN_PORT \
    "auth: {token: {realm: 'http://127.0.0.1:$REALM_PORT/token', service: token.test, issuer: rig, rootcertbundle: $RUN/tls/token.crt}}" ""
  : >"$RUN/token-server.log"
  background "$RUN/token-server.err" "$PYTHON" "$HERE/tools/token_server.py" $REALM_PORT \
    "$RUN/tls/token.crt" "$RUN/tls/token.key" "$UPSTREAM_USER" "$UPSTREAM_PASSWORD" "$RUN/token-server.log"
  wait_until 10 port_answers "127.0.0.1:$REALM_PORT"
}
start_canary() {
  : >"$RUN/canary.log"
  background "$RUN/canary.err" "$PYTHON" "$HERE/tools/canary.py" "$CANARY_ADDRESS" \
    "$RUN/tls/server.crt" "$RUN/tls/server.key" $UPSTREAM_PORT "$RUN/canary.log"
  wait_until 10 port_answers "$CANARY_ADDRESS:443"
}
# link LISTEN TARGET OPTIONS...: a link that can be slow and be cut; its log is $CASE/link.log.
start_link() {
  local listen=$1 target=$2
  shift 2
  : >"$CASE/link.log"
  background "$CASE/link.err" "$PYTHON" "$HERE/tools/link.py" "$listen" "$target" "$CASE/link.log" "$@"
  wait_until 10 port_answers "127.0.0.1:$listen" || fail "the link did not start"
}

# --- Pratique -------------------------------------------------------------------------------------------

# mirror_config POLICY [UPSTREAM_PORT]: writes $CASE/pratique.toml and $CASE/policy.yaml, with a fresh data directory.
mirror_config() {
  sed -e "s|@TEAM_KEY@|$FIXTURES/team.pub|; s|@KEYLESS_ROOT@|$KEYLESS/trusted-root.json|; s|@NOTATION_CA@|$FIXTURES/notation-keys/acme.pem|; s|@MODE@|${MODE:-enforce}|" "$HERE/policies/$1.yaml" >"$CASE/policy.yaml"
  printf '%s' "$UPSTREAM_USER" >"$CASE/username"
  printf '%s' "$UPSTREAM_PASSWORD" >"$CASE/password"
  chmod 600 "$CASE/password"
  cat >"$CASE/pratique.toml" <<TOML
data_dir = "$CASE/data"
policy   = "$CASE/policy.yaml"

[node]
listen = "$MIRROR"

[admin]
listen = "$ADMIN"

[[upstream]]
registry = "up.test"
url = "http://127.0.0.1:${2:-$UPSTREAM_PORT}"
danger_plain_http = true
tag_ttl = "0s"

[[upstream]]
registry = "docker.io"
url = "http://127.0.0.1:${2:-$UPSTREAM_PORT}"
danger_plain_http = true

[[upstream]]
registry = "basic.test"
url = "https://127.0.0.1:$BASIC_PORT"
ca_file = "$RUN/tls/ca.crt"
username_file = "$CASE/username"
password_file = "$CASE/password"
tag_ttl = "0s"

[[upstream]]
registry = "token.test"
url = "http://127.0.0.1:$TOKEN_PORT"
danger_plain_http = true
token_hosts = ["127.0.0.1:$REALM_PORT"]
username_file = "$CASE/username"
password_file = "$CASE/password"
tag_ttl = "0s"
TOML
}
mirror_is_ready() { curl -fs -o /dev/null --max-time 2 --cacert "$RUN/tls/ca.crt" "${MIRROR_SCHEME:-http}://$MIRROR/readyz"; }
mirror_start() {
  background "$CASE/pratique.log" "$PRATIQUE" serve --config "$CASE/pratique.toml"
  MIRROR_PID=$STARTED
  wait_until 15 mirror_is_ready || fail "pratique is not ready: $(tail -3 "$CASE/pratique.log" | paste -sd' ')"
}
mirror_stop() {
  kill "$MIRROR_PID"
  timeout 30 tail --pid="$MIRROR_PID" -f /dev/null || fail "pratique did not stop within 30 s of SIGTERM"
}
# mirror_with POLICY [UPSTREAM_PORT]
mirror_with() {
  mirror_config "$@"
  mirror_start
}
# An admin's command: what it said and its exit status as with every client.
admin() { attempt "$PRATIQUE" "$@" --config "$CASE/pratique.toml"; }
# approve the request that the client was just told about
approve_what_was_said() {
  local id
  id=$(request_id)
  [ -n "$id" ] || fail "the refusal names no request: $(last_line)"
  admin approve "$id" --reason "reviewed in the test suite"
  [ "$STATUS" = 0 ] || fail "approve $id: $(last_line)"
}

# --- nodes: a containerd of its own each time, so that every pull is cold --------------------------------

# closed_hosts DIRECTORY [ADDRESS]: the mirror is the only endpoint (deploy/containerd/closed)
closed_hosts() {
  local registry
  for registry in up.test basic.test token.test; do
    mkdir -p "$1/$registry"
    sed "s|http://127.0.0.1:5000|http://${2:-$MIRROR}|g" "$PROJECT/deploy/containerd/closed.hosts.toml" >"$1/$registry/hosts.toml"
  done
}
# open_hosts DIRECTORY: the mirror first, the upstream behind it (deploy/containerd/open)
open_hosts() {
  mkdir -p "$1/up.test"
  sed "s|https://registry.example|https://up.test|g; s|http://127.0.0.1:5000|http://$MIRROR|g" \
    "$PROJECT/deploy/containerd/open.hosts.toml" >"$1/up.test/hosts.toml"
}
# node_start LINE HOSTS_DIRECTORY: LINE is 1.6, 1.7 or 2
node_start() {
  local line=$1 hosts=$2
  NODE=$CASE/node
  NODE_LINE=$line
  NODE_HOSTS=$hosts
  rm -rf "$NODE"
  mkdir -p "$NODE"
  local version=2 images='"io.containerd.grpc.v1.cri".containerd' mirrors='"io.containerd.grpc.v1.cri".registry'
  if [ "$line" = 2 ]; then
    version=3 images="'io.containerd.cri.v1.images'" mirrors="'io.containerd.cri.v1.images'.registry"
  fi
  # "isolated": what ctr pulled in its namespace does not spare the CRI pull the download.
  cat >"$NODE/config.toml" <<TOML
version = $version
root = "$NODE/root"
state = "$NODE/state"
[grpc]
  address = "$NODE/sock"
[ttrpc]
  address = "$NODE/sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  disable_tcp_service = true
[plugins.$images]
  snapshotter = "overlayfs"
[plugins.$mirrors]
  config_path = "$hosts"
[plugins."io.containerd.metadata.v1.bolt"]
  content_sharing_policy = "isolated"
${NODE_EXTRA:-}
TOML
  background "$CASE/containerd.log" "$RIG/bin/containerd-$line" --config "$NODE/config.toml"
  NODE_PID=$STARTED
  wait_until 30 timeout 5 "$RIG/bin/ctr-$line" --address "$NODE/sock" version ||
    fail "containerd $line did not start: $(tail -2 "$CASE/containerd.log" | paste -sd' ')"
}
node_stop() {
  kill "$NODE_PID"
  timeout 20 tail --pid="$NODE_PID" -f /dev/null || kill -9 "$NODE_PID"
  find "$NODE/root" "$NODE/state" -type d -name rootfs -prune 2>/dev/null | while read -r dir; do umount -q "$dir" || true; done
  rm -rf "$NODE"
}
# pull_command BY IMAGE: the command line of a pull by `ctr` (as it does it by itself, in its own process, or by
# containerd's transfer service) or by the `cri` call, in the array PULL
pull_command() {
  case $1 in
    ctr | ctr-local | ctr-transfer)
      PULL=("$RIG/bin/ctr-$NODE_LINE" --address "$NODE/sock" -n test images pull --platform linux/amd64 --hosts-dir "$NODE_HOSTS")
      case $1 in ctr-local) PULL+=(--local) ;; ctr-transfer) PULL+=(--local=false) ;; esac
      PULL+=("$2")
      ;;
    cri) PULL=("$PYTHON" "$HERE/tools/cri_pull.py" "$NODE/sock" "$2" "$CLIENT_LIMIT") ;;
  esac
}
# The image is there with its layers unpacked, and every blob of it is what its digest says (containerd checks).
pulled() { # BY IMAGE
  pull_command "$1" "$2"
  succeeds "$1 pull of $2" "${PULL[@]}"
}
pull_refused() { # BY IMAGE PATTERN
  pull_command "$1" "$2"
  refused "$1 pull of $2" "$3" "${PULL[@]}"
}
