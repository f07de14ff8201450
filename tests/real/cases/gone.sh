# A cluster of which nothing is left but what its nodes keep: no image in any runtime, no cache, no mirror, no
# upstream. It comes back by what boot runs, and nobody does anything.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

GONE_LINES='1.6 1.7 2'
GONE_PORT=25050 # an upstream of this case's own, which can be taken away
GONE_IMAGES='pratique pause cni'
gone_name() { printf 'up.test/open/boot/%s:1' "$1"; }

# Pratique's own image, as deploy/image makes it, and the others of the set, in an upstream of their own. A program
# that is not static, as a debug build is, gets its libraries in a layer above.
gone_upstream() {
  local place=127.0.0.1:$GONE_PORT/open registry=$CASE/registry library
  mkdir -p "$registry"
  STORAGE=$registry READ_ONLY=false registry gone $GONE_PORT "" ""
  GONE_UPSTREAM_PID=$STARTED
  strip -o "$CASE/pratique" "$PRATIQUE"
  succeeds "the image of Pratique" "$PYTHON" "$PROJECT/deploy/image/layout.py" --binary "$CASE/pratique" \
    --output "$CASE/layout" --version 0.1.0 --tag 1
  succeeds "its push" skopeo copy -q --insecure-policy --dest-tls-verify=false "oci:$CASE/layout:1" "docker://$place/boot/pratique:1"
  if ldd "$PRATIQUE" 2>&1 | grep -q '=>'; then
    ldd "$PRATIQUE" | grep -oE '/[^ ]+' | sed 's|^/||' >"$CASE/libraries"
    tar -C / -chf "$CASE/libraries.tar" -T "$CASE/libraries"
    succeeds "its libraries" "$RIG/bin/crane" --insecure append -b "$place/boot/pratique:1" -f "$CASE/libraries.tar" -t "$place/boot/pratique:1"
  fi
  for library in pause cni; do
    succeeds "the image $library" "$RIG/bin/crane" --insecure mutate --entrypoint /bin/busybox,sleep,86400 --label "for=$library" \
      --tag "$place/boot/$library:1" "127.0.0.1:$UPSTREAM_PORT/open/alpine:3.23"
  done
  succeeds "an image that is not of the set" "$RIG/bin/crane" --insecure copy "127.0.0.1:$UPSTREAM_PORT/open/alpine:3.23" "$place/alpine:3.23"
  succeeds "an image that is denied" "$RIG/bin/crane" --insecure copy "127.0.0.1:$UPSTREAM_PORT/denied/alpine:3.23" \
    "127.0.0.1:$GONE_PORT/denied/alpine:3.23"
}
# In the place of the upstream, whoever comes is written down and turned away.
gone_tripwire() {
  : >"$CASE/tripwire.log"
  background "$CASE/tripwire.err" "$PYTHON" -c '
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    with open(sys.argv[2], "a") as log:
        log.write(repr(connection.recv(200)) + "\n")
    connection.close()' $GONE_PORT "$CASE/tripwire.log"
  TRIPWIRE_PID=$STARTED
  wait_until 10 port_answers "127.0.0.1:$GONE_PORT" || fail "no tripwire"
  sleep 0.2
  : >"$CASE/tripwire.log"
}
gone_end() { # PID
  kill "$1" 2>/dev/null || true
  timeout 20 tail --pid="$1" -f /dev/null || kill -9 "$1"
}

# The settings of the mirror, for a process and for the static pod: the same data, the same policy, over TLS.
gone_settings() {
  local host=$CASE/host
  mkdir -p "$host/server" "$host/server-tls" "$host/data"
  mirror_config general $GONE_PORT
  sed -i "s|^\[admin\]|[node.tls]\ncert = \"$host/server-tls/tls.crt\"\nkey = \"$host/server-tls/tls.key\"\n\n[admin]|; s|$CASE/data|$host/data|" "$CASE/pratique.toml"
  cp "$RUN/tls/server.crt" "$host/server-tls/tls.crt"
  cp "$RUN/tls/server.key" "$host/server-tls/tls.key"
  cp "$CASE/policy.yaml" "$CASE/username" "$CASE/password" "$RUN/tls/ca.crt" "$FIXTURES/team.pub" "$host/server/"
  sed -i "s|$FIXTURES/|/etc/pratique/|" "$host/server/policy.yaml"
  sed "s|$host/data|/var/lib/pratique|; s|$host/server-tls|/etc/pratique-tls|; s|\"$CASE/|\"/etc/pratique/|; s|$RUN/tls/|/etc/pratique/|" \
    "$CASE/pratique.toml" >"$host/server/pratique.toml"
  chmod -R a+rX "$host/server"
  chown -R 65532:65532 "$host/data" "$host/server-tls"
  MIRROR_SCHEME=https
}

# A node: its root is a folder, and its /etc/containerd, /run and /var/lib are its own, in a mount namespace that
# ends with its containerd.
gone_node() { # LINE
  local root=$CASE/nodes/$1 version=2 sandbox
  mkdir -p "$root/etc/containerd"
  cp "$RUN/tls/ca.crt" "$root/etc/containerd/mirror-ca.crt"
  # Where nobody may lower the score by which the kernel chooses whom to end, containers keep containerd's.
  sandbox="[plugins.\"io.containerd.grpc.v1.cri\"]
  restrict_oom_score_adj = true
  sandbox_image = \"$(gone_name pause)\""
  if [ "$1" = 2 ]; then
    version=3
    sandbox="[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = \"$(gone_name pause)\"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true"
  fi
  printf 'version = %s\nroot = "%s/root"\nstate = "%s/state"\n%s\n' $version "$root" "$root" "$sandbox" >"$root/etc/containerd/config.toml"
  node_command install --root "$root" --runtime "$(version_of "$1")" --mirror "https://$MIRROR" \
    --ca /etc/containerd/mirror-ca.crt --registry up.test --preload /var/lib/pratique-preload
  [ "$STATUS" = 3 ] || fail "node install does not say that the set is missing: $(last_line)"
  # What the administrator does once: the set, and the unit enabled.
  mkdir -p "$root/var/lib" "$root/etc/systemd/system/multi-user.target.wants"
  cp -a "$CASE/set" "$root/var/lib/pratique-preload"
  cp "$PROJECT/deploy/systemd/pratique-preload.service" "$root/etc/systemd/system/"
  ln -s ../pratique-preload.service "$root/etc/systemd/system/multi-user.target.wants/pratique-preload.service"
  node_command verify --root "$root"
  [ "$STATUS" = 0 ] || fail "node verify of $1: $(last_line)"
}
gone_up() { # LINE
  local root=$CASE/nodes/$1
  # shellcheck disable=SC2016 # for the shell within
  background "$CASE/containerd-$1.log" unshare --mount "$BASH" -ec '
    mount --bind "$1/etc/containerd" /etc/containerd
    mount -t tmpfs run /run
    mount -t tmpfs lib /var/lib
    mount -t tmpfs bin /usr/local/bin
    ln -s "$3" /usr/local/bin/ctr
    mkdir /var/lib/pratique /var/lib/pratique-preload
    mount --bind "$2/data" /var/lib/pratique
    mount --bind "$1/var/lib/pratique-preload" /var/lib/pratique-preload
    mount -t tmpfs pratique /etc/pratique
    mkdir /etc/pratique/server /etc/pratique/server-tls
    mount --bind "$2/server" /etc/pratique/server
    mount --bind "$2/server-tls" /etc/pratique/server-tls
    exec "$4"' node "$root" "$CASE/host" "$RIG/bin/ctr-$1" "$RIG/bin/containerd-$1"
  eval "GONE_PID_${1/./_}=$STARTED"
  wait_until 30 on_node "$1" timeout 5 ctr version || fail "containerd $1 did not start: $(tail -2 "$CASE/containerd-$1.log" | paste -sd' ')"
}
# within LINE COMMAND...: the command line in the mount namespace of the node, in the array WITHIN
within() {
  local pid=GONE_PID_${1/./_}
  WITHIN=(nsenter --mount --target "${!pid}" -- "${@:2}")
}
on_node() { # LINE COMMAND...
  within "$@"
  "${WITHIN[@]}"
}
attempt_on() { # LINE COMMAND...
  within "$@"
  attempt "${WITHIN[@]}"
}
# Power off: containerd and everything that it started.
gone_down() { # LINE
  local pid=GONE_PID_${1/./_} shim container
  pid=${!pid}
  on_node "$1" ctr -n k8s.io containers ls -q >"$CASE/containers"
  for shim in $(pgrep -f 'containerd-shim.* -address /run/containerd' || true); do
    # Those of this node are in its mount namespace.
    [ "$(readlink "/proc/$shim/ns/mnt")" = "$(readlink "/proc/$pid/ns/mnt")" ] || continue
    pgrep -P "$shim" | xargs -r kill -9 || true
    kill -9 "$shim" || true
  done
  kill -9 "$pid"
  timeout 20 tail --pid="$pid" -f /dev/null || true
  sleep 0.5
  while read -r container; do
    find /sys/fs/cgroup -depth -type d -name "$container" -exec rmdir {} + 2>/dev/null || true
  done <"$CASE/containers"
}
# What boot runs of us, as it stands in the unit; the place of the program is the only thing that is changed.
gone_boot() { # LINE
  local words
  words=$(sed -n 's/^ExecStart=//p' "$CASE/nodes/$1/etc/systemd/system/pratique-preload.service")
  read -r -a words <<<"${words/#\/usr\/bin\/pratique/$PRATIQUE}"
  attempt_on "$1" "${words[@]}"
}
# The calls that kubelet makes for a manifest; the id is in $POD.
gone_pod() { # LINE MANIFEST
  attempt_on "$1" "$PYTHON" "$HERE/tools/cri_pod.py" /run/containerd/containerd.sock run "$2"
  [ "$STATUS" = 0 ] || fail "the pod of $2 on $1: $(last_line)"
  POD=$(last_line)
}
# is_running LINE ID
is_running() { on_node "$1" "$PYTHON" "$HERE/tools/cri_pod.py" /run/containerd/containerd.sock state "$2" | grep -q '^RUNNING'; }
gone_manifests() {
  # The static pod with the image of this case, by its digest as the manifest teaches it.
  local digest
  digest=$(jq -r --arg name "$(gone_name pratique)" '.images[] | select(.names | index($name)) | .digest' "$CASE/set.json")
  sed "s|registry.example/pratique:0.1.0|up.test/open/boot/pratique@$digest|" "$PROJECT/deploy/kubernetes/static-pod/pratique.yaml" >"$CASE/pratique.yaml"
  grep -q "up.test/open/boot/pratique@sha256" "$CASE/pratique.yaml" || fail "the manifest names no image that could be replaced"
  printf 'metadata: {name: cni}\nspec:\n  hostNetwork: true\n  containers:\n  - {name: cni, image: "%s", imagePullPolicy: Never}\n' "$(gone_name cni)" >"$CASE/cni.yaml"
}
# Everything of the set is on the node by every name, and its containers run.
gone_is_back() { # LINE
  local image
  on_node "$1" ctr -n k8s.io images check -q >"$CASE/have"
  for image in $GONE_IMAGES; do
    grep -qx "$(gone_name "$image")" "$CASE/have" || fail "$1 does not have $image: $(paste -sd' ' "$CASE/have")"
  done
  gone_pod "$1" "$CASE/cni.yaml"
  wait_until 10 is_running "$1" "$POD" || fail "no container of the set runs on $1"
  # What CRI says to kubelet, who collects what is not pinned: versions differ, and the documents say which.
  on_node "$1" "$PYTHON" "$HERE/tools/cri_pod.py" /run/containerd/containerd.sock images >"$CASE/images-$1"
  cat "$CASE/images-$1" >>"$CASE/log"
  case $1 in
    1.6) ;;
    *) ! grep -v ' pinned$' "$CASE/images-$1" | grep boot || fail "$1 does not tell kubelet that the set is pinned" ;;
  esac
}

# A set that was harmed is refused before containerd has a byte of it.
gone_refused() { # LINE CODE
  gone_boot "$1"
  [ "$STATUS" = 3 ] && grep -q "$2" "$CASE/said" || fail "a set that is harmed ($2) was loaded on $1: $(last_line)"
  [ -z "$(on_node "$1" ctr -n k8s.io content ls -q)$(on_node "$1" ctr -n k8s.io images ls -q)" ] || fail "containerd $1 has seen something of a set that is harmed ($2)"
}
gone_hostile() { # LINE
  local set=$CASE/nodes/$1/var/lib/pratique-preload blob
  blob=$set/blobs/sha256/$(ls -S "$set/blobs/sha256" | head -1)
  printf '\377' | dd of="$blob" bs=1 seek=1000 conv=notrunc status=none
  gone_refused "$1" changed
  mv "$blob" "$CASE/aside"
  gone_refused "$1" missing
  ln -s "$CASE/set/blobs/sha256/${blob##*/}" "$blob"
  gone_refused "$1" link
  rm "$blob" "$CASE/aside"
  cp -a "$CASE/set/blobs/sha256/${blob##*/}" "$blob"
}

gone_comes_back() {
  local line image
  command -v strip >/dev/null || skip "no strip (binutils)"
  mkdir -p /etc/containerd /etc/pratique
  gone_upstream
  gone_settings
  mirror_start
  for image in $GONE_IMAGES; do gone_name "$image"; echo; done >"$CASE/bring-up.txt"
  succeeds "preload save" "$PRATIQUE" preload save --from "https://$MIRROR" --ca "$RUN/tls/ca.crt" --images "$CASE/bring-up.txt" -o "$CASE/set" --json --quiet
  cp "$CASE/said" "$CASE/set.json"
  refused "a set with a denied image" 'refuses it.*rule never' "$PRATIQUE" preload save --from "https://$MIRROR" --ca "$RUN/tls/ca.crt" \
    -o "$CASE/other" up.test/denied/alpine:3.23
  # Others read the layout, too.
  succeeds "skopeo reads the set" skopeo copy -q --insecure-policy "oci:$CASE/set:$(gone_name cni)" "dir:$CASE/skopeo"
  mirror_stop
  chown -R 65532:65532 "$CASE/host/data"
  gone_manifests

  # A usual day: nodes boot, the mirror is a pod of one of them, and keeps the set in its own cache, too.
  for line in $GONE_LINES; do
    gone_node "$line"
    gone_up "$line"
    gone_boot "$line"
    [ "$STATUS" = 0 ] || fail "load on $line: $(last_line)"
  done
  gone_pod 2 "$CASE/pratique.yaml"
  wait_until 30 mirror_is_ready || fail "the mirror of the static pod is not ready"
  for image in $GONE_IMAGES; do
    admin cache pin "$(gone_name "$image")"
    [ "$STATUS" = 0 ] || fail "cache pin: $(last_line)"
  done
  # Booting again changes nothing.
  gone_boot 2
  grep -q '0 names imported' "$CASE/said" || fail "a second boot imported something: $(last_line)"

  # Everything gone.
  for line in $GONE_LINES; do gone_down "$line"; done
  gone_end "$GONE_UPSTREAM_PID"
  rm -rf "$CASE/host/data/blobs" "$CASE/host/data/index" "$CASE"/nodes/*/root "$CASE"/nodes/*/state
  ! mirror_is_ready || fail "the mirror is still there"
  gone_tripwire
  upstream_mark
  canary_mark

  # Boot, and nobody near it.
  for line in $GONE_LINES; do
    gone_up "$line"
    [ -z "$(on_node "$line" ctr -n k8s.io images ls -q)" ] || fail "$line was not wiped"
    gone_hostile "$line"
    gone_boot "$line"
    [ "$STATUS" = 0 ] || fail "load on $line after everything was gone: $(last_line)"
  done
  gone_pod 2 "$CASE/pratique.yaml"
  wait_until 30 mirror_is_ready || fail "the mirror does not come back"
  for line in $GONE_LINES; do gone_is_back "$line"; done
  [ ! -s "$CASE/tripwire.log" ] || fail "upstream was asked while everything was gone: $(head -2 "$CASE/tripwire.log")"
  upstream_is_untouched
  canary_is_silent
  # The look itself has connected there.
  sleep 0.5
  canary_mark

  # The world is there again, and the gate stands where it stood.
  gone_end "$TRIPWIRE_PID"
  STORAGE=$CASE/registry registry gone $GONE_PORT "" ""
  for line in $GONE_LINES; do
    within "$line" "$PYTHON" "$HERE/tools/cri_pull.py" /run/containerd/containerd.sock up.test/open/alpine:3.23 60
    succeeds "pull of another image on $line" "${WITHIN[@]}"
    within "$line" "$PYTHON" "$HERE/tools/cri_pull.py" /run/containerd/containerd.sock up.test/denied/alpine:3.23 60
    refused "pull of a denied image on $line" '403 .*Denied' "${WITHIN[@]}"
  done
  for line in $GONE_LINES; do gone_down "$line"; done
}

register gone-comes-back 300 gone_comes_back
