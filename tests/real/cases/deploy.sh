# The examples under deploy/ that no other case uses: what can be checked without a cluster.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

# Configuration and policy in the ConfigMap are good, and the pod passes the restricted Pod Security Standard.
deploy_kubernetes() {
  succeeds "the manifests" "$PYTHON" "$HERE/tools/manifests.py" "$PROJECT/deploy/kubernetes/base" "$CASE"
  sed -i "s|/etc/pratique/policy.yaml|$CASE/policy.yaml|; s|/var/lib/pratique|$CASE/data|; s|/etc/pratique-tls/tls.crt|$RUN/tls/server.crt|; s|/etc/pratique-tls/tls.key|$RUN/tls/server.key|" \
    "$CASE/pratique.toml"
  succeeds "policy check" "$PRATIQUE" policy check "$CASE/policy.yaml"
  succeeds "config check" "$PRATIQUE" config check --config "$CASE/pratique.toml"
  background "$CASE/pratique.log" "$PRATIQUE" serve --config "$CASE/pratique.toml"
  wait_until 15 curl -fs -o /dev/null --max-time 2 --cacert "$RUN/tls/ca.crt" https://127.0.0.1:5000/readyz ||
    fail "pratique is not ready over TLS: $(tail -3 "$CASE/pratique.log" | paste -sd' ')"
}

# Every manifest fits the schemas of Kubernetes, for the oldest version that the policies need and a newer one.
deploy_schemas() {
  local library=$RIG/kubernetes-validate
  [ -d "$library" ] || "$PYTHON" -m venv "$library" 2>/dev/null || skip "no venv for python3"
  "$library/bin/pip" install -q 'kubernetes-validate>=1.31' pyyaml >"$CASE/pip" 2>&1 || skip "kubernetes-validate cannot be had"
  for version in 1.30 1.34; do
    succeeds "schemas of $version" "$library/bin/python" "$HERE/tools/schemas.py" $version \
      "$PROJECT/deploy/kubernetes/base" "$PROJECT/deploy/kubernetes/admission"
  done
}

deploy_systemd() {
  local unit
  command -v systemd-analyze >/dev/null || skip "no systemd-analyze"
  # The units that ours name and that this machine does not have.
  mkdir -p "$CASE/units"
  printf '[Service]\nExecStart=/bin/true\n' | tee "$CASE/units/containerd.service" >"$CASE/units/kubelet.service"
  for unit in pratique pratique-preload; do
    sed "s|/usr/bin/pratique|$PRATIQUE|" "$PROJECT/deploy/systemd/$unit.service" >"$CASE/units/$unit.service"
    succeeds "systemd-analyze verify $unit" env SYSTEMD_UNIT_PATH="$CASE/units:" systemd-analyze verify --man=no "$CASE/units/$unit.service"
    ! grep -q "$CASE/units/$unit.service" "$CASE/said" || fail "$(last_line)"
  done
}

# What the Dockerfile makes: nothing but the static program in an empty root, not root, one writable directory.
deploy_empty_root() {
  local root=$CASE/root
  ldd "$PRATIQUE" 2>&1 | grep -Eq 'statically linked|not a dynamic executable' || skip "$PRATIQUE is not static"
  mirror_config general
  mkdir -p "$root/usr/bin" "$root/etc/pratique" "$root/var/lib/pratique"
  cp "$PRATIQUE" "$root/usr/bin/pratique"
  chown 65532:65532 "$root/var/lib/pratique"
  sed "s|$CASE/data|/var/lib/pratique|; s|\"$CASE/|\"/etc/pratique/|; s|$RUN/tls/|/etc/pratique/|" "$CASE/pratique.toml" >"$root/etc/pratique/pratique.toml"
  sed "s|$FIXTURES/|/etc/pratique/|" "$CASE/policy.yaml" >"$root/etc/pratique/policy.yaml"
  cp "$CASE/username" "$CASE/password" "$RUN/tls/ca.crt" "$FIXTURES/team.pub" "$root/etc/pratique/"
  chmod -R a+rX "$CASE" "$root/etc"
  background "$CASE/pratique.log" chroot --userspec=65532:65532 "$root" /usr/bin/pratique serve --config /etc/pratique/pratique.toml
  wait_until 15 mirror_is_ready || fail "pratique is not ready: $(tail -3 "$CASE/pratique.log" | paste -sd' ')"
  crane_pull lib/alpine:3.23
  succeeds "signed image" "${PULL[@]}"
  crane_pull denied/alpine:3.23
  refused "denied image" "$DENIED" "${PULL[@]}"
}

register deploy-empty-root 60 deploy_empty_root
register deploy-kubernetes 60 deploy_kubernetes
register deploy-schemas 60 deploy_schemas
register deploy-systemd 60 deploy_systemd
