# Clients that pull by the mirror's own name, 127.0.0.1:5000/up.test/...: for them the mirror is the registry.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

# three_answers CLIENT PULL_FUNCTION: allowed, denied and pending, the last one approved and pulled.
# PULL_FUNCTION REPOSITORY_AND_REFERENCE fills the array PULL.
three_answers() {
  local client=$1 pull=$2
  mirror_with general
  "$pull" open/alpine:3.23
  succeeds "allowed image" "${PULL[@]}"
  "$pull" lib/alpine:3.23
  succeeds "signed image" "${PULL[@]}"
  row "$client" allowed
  "$pull" lib/alpine:unsigned
  refused "unsigned image" "$DENIED.*sign" "${PULL[@]}"
  row "$client" denied
  "$pull" nobody/alpine:3.23
  refused "image without a rule" "$DENIED.*no rule" "${PULL[@]}"
  "$pull" "asked/$client:1"
  refused "image that needs an approval" "$PENDING" "${PULL[@]}"
  row "$client" pending
  approve_what_was_said
  succeeds "approved image" "${PULL[@]}"
}

skopeo_pull() {
  rm -rf "$CASE/skopeo"
  PULL=(skopeo --insecure-policy copy --src-tls-verify=false "docker://$MIRROR/up.test/$1" "dir:$CASE/skopeo")
}
crane_pull() { PULL=("$RIG/bin/crane" --insecure pull --platform linux/amd64 "$MIRROR/up.test/$1" "$CASE/crane.tar"); }
oras_pull() { PULL=("$RIG/bin/oras" copy --from-plain-http --to-oci-layout "$MIRROR/up.test/$1" "$CASE/oras:${1##*[:@]}"); }
podman_pull() {
  printf '{"default":[{"type":"insecureAcceptAnything"}]}' >"$CASE/podman-policy.json"
  # podman wants a run root of at most 50 characters
  [ -s "$CASE/short" ] || mktemp -d /tmp/podman.XXXXXX >"$CASE/short"
  PULL=(podman --root "$CASE/podman" --runroot "$(cat "$CASE/short")" --storage-driver vfs --events-backend none
    pull --signature-policy "$CASE/podman-policy.json" --tls-verify=false "$MIRROR/up.test/$1")
}
docker_pull() { PULL=("$RIG/bin/docker" -H "unix://$CASE/docker.sock" pull "$MIRROR/up.test/$1"); }

docker_start() { # [DOCKERD_OPTION...]
  closed_hosts "$CASE/hosts.d"
  node_start 1.7 "$CASE/hosts.d"
  mkdir -p "$CASE/docker"
  background "$CASE/dockerd.log" env PATH="$RIG/roots/docker/usr/sbin:$RIG/roots/docker/usr/bin:$PATH" "$RIG/bin/dockerd" \
    -H "unix://$CASE/docker.sock" --containerd "$NODE/sock" --data-root "$CASE/docker/data" --exec-root "$CASE/docker/exec" \
    --pidfile "$CASE/docker/pid" --iptables=false --ip6tables=false --bridge=none "$@"
  wait_until 40 timeout 5 "$RIG/bin/docker" -H "unix://$CASE/docker.sock" version ||
    fail "dockerd did not start: $(tail -2 "$CASE/dockerd.log" | paste -sd' ')"
}
docker_engine() {
  docker_start
  three_answers docker docker_pull
}
# As `registry-mirrors` of Docker Hub: what is admitted comes from the mirror, and what is not comes from Docker
# Hub. Supported, and not a gate; this case keeps the word "not" true.
docker_registry_mirror() {
  mirror_with docker-hub
  docker_start --registry-mirror "http://$MIRROR"
  local docker=("$RIG/bin/docker" -H "unix://$CASE/docker.sock" pull)
  succeeds "allowed image" "${docker[@]}" alpine:3.23
  grep -q "$(digest_of library/alpine:3.23)" "$CASE/said" || fail "docker pulled another digest"
  canary_is_silent
  attempt "${docker[@]}" denied:3.23
  canary_seen | grep -q '^connect' || fail "docker did not fall back: it may be called a gate now"
  touch "$CASE/fallback-expected"
}

# registries.conf of deploy/: up.test has the mirror as its location and no other place to go.
containers_registries_conf() {
  sed "s|registry.example|up.test|g; s|127.0.0.1:5000|$MIRROR|g" "$PROJECT/deploy/containers/registries.conf" >"$CASE/registries.conf"
  export CONTAINERS_REGISTRIES_CONF=$CASE/registries.conf # read by podman; skopeo has an option
  local copy=(skopeo --insecure-policy --registries-conf "$CASE/registries.conf" copy)
  mirror_with general
  succeeds "skopeo, allowed image" "${copy[@]}" docker://up.test/open/alpine:3.23 "dir:$CASE/skopeo"
  refused "skopeo, denied image" "$DENIED" "${copy[@]}" docker://up.test/denied/alpine:3.23 "dir:$CASE/skopeo"
  refused "skopeo, pending image" "$PENDING" "${copy[@]}" docker://up.test/asked/registries-conf:1 "dir:$CASE/skopeo"
  podman_pull open/alpine:3.23
  succeeds "podman, allowed image" "${PULL[@]/#$MIRROR\/}"
  podman_pull denied/alpine:3.23
  refused "podman, denied image" "$DENIED" "${PULL[@]/#$MIRROR\/}"
}

# Signatures are found and verified through the mirror, in the form each cosign makes.
cosign_verify() {
  local line=$1 tag=$2 image=$MIRROR/up.test/lib/alpine
  mirror_with one-signed-repository
  local verify=("$RIG/bin/cosign-$line" verify --key "$FIXTURES/team.pub" --insecure-ignore-tlog=true
    --private-infrastructure --allow-http-registry --allow-insecure-registry)
  export COSIGN_CACHE=$CASE/cosign TUF_ROOT=$CASE/tuf
  succeeds "cosign verify" "${verify[@]}" "$image:$tag"
  grep -q "$(digest_of "lib/alpine:$tag")" "$CASE/said" || fail "cosign verified another digest"
  attempt "${verify[@]}" "$image:unsigned"
  [ "$STATUS" != 0 ] || fail "cosign verified an unsigned image"
}

for client in skopeo crane oras podman; do register "client-$client" 150 three_answers $client ${client}_pull; done
register client-docker-engine 240 docker_engine
register client-docker-registry-mirror 120 docker_registry_mirror
register client-registries-conf 120 containers_registries_conf
register client-cosign-2-verify 60 cosign_verify 2 3.23
register client-cosign-3-verify 60 cosign_verify 3 bundle
