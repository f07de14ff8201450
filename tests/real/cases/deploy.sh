# The examples under deploy/ that no other case uses: what can be checked without a cluster.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

# Configuration and policy in the ConfigMap are good, and the pod passes the restricted Pod Security Standard.
deploy_kubernetes() {
  succeeds "the manifests" "$PYTHON" "$HERE/tools/manifests.py" "$PROJECT/deploy/kubernetes" "$CASE"
  sed -i "s|/etc/pratique/policy.yaml|$CASE/policy.yaml|; s|/var/lib/pratique|$CASE/data|; s|/etc/pratique-tls/tls.crt|$RUN/tls/server.crt|; s|/etc/pratique-tls/tls.key|$RUN/tls/server.key|" \
    "$CASE/pratique.toml"
  succeeds "policy check" "$PRATIQUE" policy check "$CASE/policy.yaml"
  succeeds "config check" "$PRATIQUE" config check --config "$CASE/pratique.toml"
  background "$CASE/pratique.log" "$PRATIQUE" serve --config "$CASE/pratique.toml"
  wait_until 15 curl -fs -o /dev/null --max-time 2 --cacert "$RUN/tls/ca.crt" https://127.0.0.1:5000/readyz ||
    fail "pratique is not ready over TLS: $(tail -3 "$CASE/pratique.log" | paste -sd' ')"
}

deploy_systemd() {
  command -v systemd-analyze >/dev/null || skip "no systemd-analyze"
  sed "s|/usr/bin/pratique|$PRATIQUE|" "$PROJECT/deploy/systemd/pratique.service" >"$CASE/pratique.service"
  succeeds "systemd-analyze verify" systemd-analyze verify --man=no "$CASE/pratique.service"
  ! grep -q "$CASE/pratique.service" "$CASE/said" || fail "$(last_line)"
}

register deploy-kubernetes 60 deploy_kubernetes
register deploy-systemd 60 deploy_systemd
