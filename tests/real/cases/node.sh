# Nodes configured by `pratique node install`: they pull what is allowed and nothing else; and nodes whose
# configuration is broken: `pratique node verify` names it, and the real containerd goes past the mirror.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

# version_of LINE: what `pratique node` is told
version_of() {
  case $1 in
    1.6 | 1.7) printf 'containerd@%s' "$("$RIG/bin/containerd-$1" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -1)" ;;
    2) printf 'containerd@%s' "$("$RIG/bin/containerd-2" --version | grep -oE '2\.[0-9]+\.[0-9]+' | head -1)" ;;
  esac
}
# A node of its own: /etc/containerd, /etc/containers and /etc/pratique are empty folders of this case.
fresh_etc() {
  local folder
  for folder in containerd containers pratique; do
    mkdir -p "/etc/$folder" "$CASE/etc/$folder"
    # lib/one_case.sh takes them away again.
    printf '%s\n' "/etc/$folder" >>"$CASE/mounts"
    mount --bind "$CASE/etc/$folder" "/etc/$folder"
  done
}
node_command() { attempt "$PRATIQUE" node "$@"; }
install_node() { # RUNTIME [OPTION...]
  node_command install --runtime "$1" --mirror "http://$MIRROR" --registry up.test "${@:2}"
  [ "$STATUS" = 0 ] || fail "node install: $(last_line)"
}
# The containerd of this case, with a config.toml of its own in /etc/containerd. "isolated": what ctr pulled in its
# namespace does not spare the CRI pull the download.
own_containerd() { # LINE
  local version=2 images='"io.containerd.grpc.v1.cri".containerd'
  [ "$1" != 2 ] || version=3 images="'io.containerd.cri.v1.images'"
  NODE=$CASE/node NODE_LINE=$1 NODE_HOSTS=/etc/containerd/certs.d
  cat >/etc/containerd/config.toml <<TOML
version = $version
root = "$NODE/root"
state = "$NODE/state"
[grpc]
  address = "$NODE/sock"
[ttrpc]
  address = "$NODE/sock.ttrpc"
[plugins.$images]
  snapshotter = "overlayfs"
[plugins."io.containerd.metadata.v1.bolt"]
  content_sharing_policy = "isolated"
TOML
  chmod 644 /etc/containerd/config.toml
}
run_containerd() {
  rm -rf "$NODE"
  mkdir -p "$NODE"
  background "$CASE/containerd.log" "$RIG/bin/containerd-$NODE_LINE" --config /etc/containerd/config.toml
  NODE_PID=$STARTED
  wait_until 30 timeout 5 "$RIG/bin/ctr-$NODE_LINE" --address "$NODE/sock" version ||
    fail "containerd $NODE_LINE did not start: $(tail -2 "$CASE/containerd.log" | paste -sd' ')"
}
upstream_is_untouched() {
  local seen
  seen=$(upstream_requests)
  [ -z "$seen" ] || fail "upstream was asked: $(head -3 <<<"$seen" | paste -sd';')"
}

node_containerd() { # LINE
  local by
  fresh_etc
  mirror_with general
  own_containerd "$1"
  install_node "$(version_of "$1")"
  run_containerd
  for by in ctr cri; do
    pulled $by up.test/open/alpine:3.23
    pull_refused $by up.test/denied/alpine:3.23 '403 .*Denied'
    pull_refused $by up.test/lib/alpine:unsigned '403 .*Denied.*sign'
    # A registry that has no file of its own goes the same way.
    pull_refused $by docker.io/nobody/alpine:3.23 '403 .*Denied'
  done
  mirror_stop
  upstream_mark
  for by in ctr cri; do
    pull_refused $by up.test/open/multi:1 'connect|refused|dial'
  done
  upstream_is_untouched
  cp -a /etc/containerd "$CASE/installed"
  node_command uninstall
  [ "$STATUS" = 0 ] || fail "node uninstall: $(last_line)"
  [ ! -e /etc/containerd/certs.d/up.test ] || fail "uninstall left the file of up.test"
  ! grep -q config_path /etc/containerd/config.toml || fail "uninstall left config_path"
}

# broken LINE CODE BY...: verify names the code, and pulls of what is denied go past the mirror.
broken() {
  local code=$2 by
  node_command verify --runtime "$(version_of "$1")" --json
  [ "$STATUS" = 3 ] || fail "node verify found nothing ($code)"
  jq -e --arg code "$code" '.closed == false and any(.findings[]; .code == $code and .gravity == "hole")' "$CASE/said" >/dev/null ||
    fail "node verify does not name $code: $(jq -c '[.findings[].code]' "$CASE/said")"
  touch "$CASE/fallback-expected"
  for by in "${@:3}"; do
    canary_mark
    pulled "$by" up.test/denied/alpine:3.23
    canary_seen | grep -q '^request .*denied/alpine/manifests' || fail "$code: $by did not go past the mirror, though verify says so"
    "$RIG/bin/ctr-$NODE_LINE" --address "$NODE/sock" -n test images rm --sync up.test/denied/alpine:3.23 >/dev/null 2>&1 || true
    "$RIG/bin/ctr-$NODE_LINE" --address "$NODE/sock" -n k8s.io images rm --sync up.test/denied/alpine:3.23 >/dev/null 2>&1 || true
  done
}
node_broken() { # LINE
  local line=$1 file=/etc/containerd/certs.d/up.test/hosts.toml good
  fresh_etc
  mirror_with general
  own_containerd "$line"
  install_node "$(version_of "$line")"
  run_containerd
  good=$(cat $file)
  # verify is shown to be right about what is closed, too.
  node_command verify --runtime "$(version_of "$line")"
  [ "$STATUS" = 0 ] || fail "node verify: $(last_line)"
  pull_refused cri up.test/denied/alpine:3.23 '403 .*Denied'

  printf 'server = ' >$file
  broken "$line" parse-error ctr
  printf '%s\n' "${good/\"resolve\"/\"resolve\", \"pul\"}" >$file
  broken "$line" unknown-capability ctr
  : >$file
  broken "$line" no-file ctr
  sed 's|^server = .*|server = "https://up.test"|' <<<"$good" >$file
  broken "$line" server-is-registry ctr
  sed '/^server/d' <<<"$good" >$file
  broken "$line" server-missing ctr
  rm $file
  broken "$line" no-file ctr cri
  rmdir "${file%/*}"
  # Now _default counts, and without it nothing does.
  node_command verify --runtime "$(version_of "$line")"
  [ "$STATUS" = 0 ] || fail "node verify with _default alone: $(last_line)"
  pull_refused ctr up.test/denied/alpine:3.23 '403 .*Denied'
  mv /etc/containerd/certs.d/_default "$CASE/default"
  broken "$line" no-default ctr cri
  mv "$CASE/default" /etc/containerd/certs.d/_default
  mkdir "${file%/*}"
  printf 'server = "http://%s"\n' "$MIRROR" >$file
  if [ "$line" = 2 ]; then
    node_command verify --runtime "$(version_of "$line")"
    [ "$STATUS" = 0 ] || fail "verify takes the server-only form for a hole in containerd 2"
    pull_refused ctr up.test/denied/alpine:3.23 '403 .*Denied'
    printf '%s\n' "${good/\"resolve\"/\"resolve\", \"referrers\"}" >$file
    broken "$line" unknown-capability ctr
  else
    broken "$line" no-host-table ctr
  fi
  printf '%s\n' "$good" >$file
}
# What is wrong in config.toml: containerd has to start with it.
node_broken_config() { # LINE KIND
  local line=$1 section='"io.containerd.grpc.v1.cri"'
  fresh_etc
  mirror_with general
  own_containerd "$line"
  install_node "$(version_of "$line")"
  [ "$line" != 2 ] || section="'io.containerd.cri.v1.images'"
  case $2 in
    config-path-missing) sed -i 's|config_path = .*|config_path = ""|' /etc/containerd/config.toml ;;
    config-path-list) sed -i 's|config_path = .*|config_path = "/etc/containerd/certs.d:/etc/docker/certs.d"|' /etc/containerd/config.toml ;;
    legacy-mirrors)
      sed -i '/config_path/d' /etc/containerd/config.toml
      printf '[plugins.%s.registry.mirrors."up.test"]\n  endpoint = ["http://%s"]\n' "$section" "$MIRROR" >>/etc/containerd/config.toml
      ;;
  esac
  cat /etc/containerd/config.toml >>"$CASE/log"
  run_containerd
  broken "$line" "$2" cri
}
# The list of two folders is read by those before 2.1, and verify says so.
node_list_is_read() { # LINE
  fresh_etc
  mirror_with general
  own_containerd "$1"
  install_node "$(version_of "$1")"
  sed -i 's|config_path = .*|config_path = "/etc/containerd/certs.d:/etc/docker/certs.d"|' /etc/containerd/config.toml
  run_containerd
  node_command verify --runtime "$(version_of "$1")"
  [ "$STATUS" = 0 ] || fail "node verify: $(last_line)"
  pull_refused cri up.test/denied/alpine:3.23 '403 .*Denied'
}

# podman and skopeo by registries.conf, under the names of the registries.
node_containers() { # podman|skopeo
  local pull
  fresh_etc
  mirror_with general
  printf '{"default":[{"type":"insecureAcceptAnything"}]}' >/etc/containers/policy.json
  install_node podman
  containers_pull() {
    case $1 in
      skopeo)
        rm -rf "$CASE/skopeo"
        PULL=(skopeo --insecure-policy copy "docker://up.test/$2" "dir:$CASE/skopeo")
        ;;
      podman)
        [ -s "$CASE/short" ] || mktemp -d /tmp/podman.XXXXXX >"$CASE/short"
        PULL=(podman --root "$CASE/podman" --runroot "$(cat "$CASE/short")" --storage-driver vfs --events-backend none
          pull "up.test/$2")
        ;;
    esac
  }
  containers_pull "$1" open/alpine:3.23
  succeeds "allowed image" "${PULL[@]}"
  containers_pull "$1" denied/alpine:3.23
  refused "denied image" "$DENIED" "${PULL[@]}"
  # A block of others that is read later wins: named, and true.
  printf '[[registry]]\nprefix = "up.test"\nlocation = "up.test"\n' >/etc/containers/registries.conf.d/90-others.conf
  node_command verify --json
  [ "$STATUS" = 3 ] && jq -e 'any(.findings[]; .code == "location-is-registry")' "$CASE/said" >/dev/null || fail "node verify does not name the other block"
  canary_is_silent
  touch "$CASE/fallback-expected"
  succeeds "denied image past the mirror" "${PULL[@]}"
  canary_seen | grep -q '^request .*denied/alpine/manifests' || fail "$1 did not go past the mirror, though verify says so"
  rm /etc/containers/registries.conf.d/90-others.conf "$CASE/fallback-expected"
  canary_mark
  mirror_stop
  upstream_mark
  containers_pull "$1" open/multi:1
  refused "pull without the mirror" 'refused|dial|connect' "${PULL[@]}"
  upstream_is_untouched
}

for line in 1.6 1.7 2; do
  register "node-containerd-$line" 240 node_containerd $line
  register "node-broken-$line" 240 node_broken $line
  register "node-broken-config-path-missing-$line" 120 node_broken_config $line config-path-missing
  register "node-broken-legacy-mirrors-$line" 120 node_broken_config $line legacy-mirrors
done
register node-broken-config-path-list-2 120 node_broken_config 2 config-path-list
register node-list-is-read-1.6 120 node_list_is_read 1.6
register node-list-is-read-1.7 120 node_list_is_read 1.7
register node-podman 120 node_containers podman
register node-skopeo 120 node_containers skopeo
