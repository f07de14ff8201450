# containerd, by `ctr` and by the call that kubelet makes, with the mirror as its only endpoint.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

containerd_node() { # LINE POLICY [MIRROR_ADDRESS_FOR_THE_NODE] [UPSTREAM_PORT]
  closed_hosts "$CASE/hosts.d" "${3:-}"
  mirror_with "$2" "${4:-}"
  node_start "$1" "$CASE/hosts.d"
}
# Every blob is in containerd's store and every layer unpacked.
image_is_complete() {
  local state
  state=$(timeout 60 "$RIG/bin/ctr-$NODE_LINE" --address "$NODE/sock" -n test images check "name==$1")
  grep -q 'complete' <<<"$state" && grep -Eq 'true *$' <<<"$state" || fail "$1 is not complete and unpacked: $(tail -1 <<<"$state")"
}
# The image that the node now has under this name is the one upstream has.
image_has_digest() {
  timeout 30 "$RIG/bin/ctr-$NODE_LINE" --address "$NODE/sock" -n test images ls "name==$1" | grep -q "$(digest_of "$2")" ||
    fail "$1 has another digest than upstream"
}

containerd_allowed() {
  local line=$1 by image
  containerd_node "$line" general
  for by in ctr cri; do
    for image in open/alpine:3.23 open/multi:1 open/zstd:1 open/many:60; do
      pulled $by "up.test/$image"
      [ $by = cri ] || { image_is_complete "up.test/$image"; image_has_digest "up.test/$image" "$image"; }
    done
    image="up.test/open/alpine@$(digest_of open/alpine:3.23)"
    pulled $by "$image"
    row "containerd $line $by" allowed
  done
}

containerd_big() {
  local line=$1 by
  CLIENT_LIMIT=240
  containerd_node "$line" general
  for by in ctr cri; do
    pulled $by up.test/open/big:1g
    [ $by = cri ] || image_is_complete up.test/open/big:1g
  done
}

resumed() { # WHO: the link was cut and the rest was asked for by Range
  grep -q '^cut' "$CASE/link.log" || fail "the link to $1 was never cut"
  grep -q 'blobs/.* range=bytes=[1-9][0-9]*-' "$CASE/link.log" || fail "$1 never saw a Range that goes on where the cut was"
}
# The connection between node and mirror ends in the middle of a layer: the node goes on by Range. (By a plain
# end: what containerd 1.6 does not survive is a reset, whoever the registry is.)
containerd_cut_before_node() {
  local line=$1
  start_link $LINK_PORT "${MIRROR##*:}" --cut-at 40000000 --cuts 1 --cut-by end
  containerd_node "$line" general "127.0.0.1:$LINK_PORT"
  pulled ctr up.test/open/cut:1
  image_is_complete up.test/open/cut:1
  resumed "the mirror"
}
# The connection between mirror and upstream breaks: the node sees nothing of it.
containerd_cut_behind_mirror() {
  local line=$1 cut_by=$2
  start_link $UPSTREAM_LINK_PORT $UPSTREAM_PORT --cut-at 40000000 --cuts 2 --cut-by "$cut_by"
  containerd_node "$line" general "" $UPSTREAM_LINK_PORT
  pulled cri up.test/open/cut:1
  resumed "upstream"
}

# The node listener with TLS under a CA of one's own, as deploy/containerd/closed.hosts.toml describes it.
containerd_tls() {
  local line=$1
  closed_hosts "$CASE/hosts.d"
  sed -i "s|http://$MIRROR|https://$MIRROR|; s|^server = .*|&\nca = \"$RUN/tls/ca.crt\"|; s|^  capabilities = .*|&\n  ca = \"$RUN/tls/ca.crt\"|" "$CASE/hosts.d/up.test/hosts.toml"
  cat "$CASE/hosts.d/up.test/hosts.toml" >>"$CASE/log"
  mirror_config general
  printf '\n[node.tls]\ncert = "%s"\nkey = "%s"\n' "$RUN/tls/server.crt" "$RUN/tls/server.key" >>"$CASE/pratique.toml"
  MIRROR_SCHEME=https
  mirror_start
  # The CA comes from hosts.toml alone.
  SSL_CERT_FILE=/dev/null node_start "$line" "$CASE/hosts.d"
  export SSL_CERT_FILE=/dev/null
  pulled ctr up.test/open/alpine:3.23
  pulled cri up.test/lib/alpine:3.23
  pull_refused ctr up.test/lib/alpine:unsigned '403 .*Denied.*sign'
  pull_refused cri up.test/denied/alpine:3.23 '403 .*Denied'
}

containerd_pending() {
  local line=$1 by image
  containerd_node "$line" general
  for by in ctr cri; do
    image=up.test/asked/$by-$line:1
    pull_refused $by "$image" '403 .*Pending approval R-[0-9]+'
    row "containerd $line $by" pending
    approve_what_was_said
    pulled $by "$image"
  done
}

# Only up.test/lib/alpine signed by the team's key. What is signed in either form of cosign pulls, all else not.
containerd_one_signed_repository() {
  local line=$1 by reference
  containerd_node "$line" one-signed-repository
  for by in ctr cri; do
    pulled $by up.test/lib/alpine:3.23
    pulled $by up.test/lib/alpine:bundle
    pulled $by "up.test/lib/alpine@$(digest_of lib/alpine:3.23)"
    for reference in lib/other:1 lib/copy:3.23 nobody/alpine:3.23 "lib/copy@$(digest_of lib/copy:3.23)"; do
      pull_refused $by "up.test/$reference" '403 .*Denied.*no rule'
    done
    for reference in wrongkey wrongkey-bundle borrowed unsigned; do
      pull_refused $by "up.test/lib/alpine:$reference" '403 .*Denied.*sign'
      pull_refused $by "up.test/lib/alpine@$(digest_of "lib/alpine:$reference")" '403 .*Denied.*sign'
    done
    row "containerd $line $by" denied
  done
}

# Only what one workflow signed, by certificate and log, without a network: containerd takes it through the gate, and
# cosign verifies it through the mirror with the same trust root.
containerd_keyless() {
  local line=$1 by
  containerd_node "$line" keyless
  for by in ctr cri; do
    pulled $by up.test/lib/app:1
    pull_refused $by up.test/lib/stranger:1 '403 .*Denied.*sign'
    pull_refused $by up.test/lib/unlogged:1 '403 .*Denied.*sign'
    pull_refused $by up.test/lib/simple:1 '403 .*Denied.*sign'
    pull_refused $by up.test/lib/alpine:3.23 '403 .*Denied.*sign'
  done
  image_is_complete up.test/lib/app:1
  export COSIGN_CACHE=$CASE/cosign TUF_ROOT=$CASE/tuf
  succeeds "cosign verify" "$RIG/bin/cosign-3" verify --trusted-root "$KEYLESS/trusted-root.json" \
    --certificate-identity https://ci.test/acme/app/release.yml@refs/tags/v1 --certificate-oidc-issuer https://issuer.test \
    --allow-http-registry --allow-insecure-registry "$MIRROR/up.test/lib/app:1"
}

# The same policy in audit mode serves all of it, and says what it would have refused.
containerd_audit_mode() {
  local line=$1 reference
  MODE=audit containerd_node "$line" one-signed-repository
  for reference in lib/alpine:bundle lib/alpine:unsigned lib/alpine:wrongkey lib/other:1 lib/copy:3.23 nobody/alpine:3.23; do
    pulled ctr "up.test/$reference"
    pulled cri "up.test/$reference"
  done
  would_have_refused lib/alpine:unsigned lib/alpine:wrongkey lib/other:1 lib/copy:3.23 nobody/alpine:3.23
}
# would_have_refused NAME...: each is on the list of what audit mode let through, the signed image is not.
would_have_refused() {
  wait_until 20 listed "$@" ||
    fail "the list of what would have been refused lacks one of: $*; it is: $(head -c 400 "$CASE/said")"
  ! grep -q "$(digest_of lib/alpine:bundle)" "$CASE/observed" || fail "audit mode would have refused the signed image"
}
# Verdicts are written beside the pull, so the list may be a moment late. What no rule lists may stand there by its
# tag, everything else by its digest.
listed() {
  local name
  admin observed --json
  [ "$STATUS" = 0 ] || return 1
  jq -c '[.. | arrays][0][]' "$CASE/said" >"$CASE/observed"
  for name in "$@"; do
    grep "${name%:*}\"\|${name%:*}[:@]" "$CASE/observed" | grep -q "$(digest_of "$name")\|[:\"]${name##*:}\"" || return 1
  done
}

for line in 1.6 1.7 2; do
  register "containerd-$line-allowed" 240 containerd_allowed $line
  register "containerd-$line-pending" 120 containerd_pending $line
  register "containerd-$line-one-signed-repository" 240 containerd_one_signed_repository $line
  register "containerd-$line-keyless" 120 containerd_keyless $line
  register "containerd-$line-audit-mode" 120 containerd_audit_mode $line
  register "containerd-$line-tls" 90 containerd_tls $line
  register "containerd-$line-cut-before-node" 150 containerd_cut_before_node $line
  register "containerd-$line-cut-behind-mirror" 150 containerd_cut_behind_mirror $line end
  register "containerd-$line-reset-behind-mirror" 150 containerd_cut_behind_mirror $line reset
  register "containerd-$line-one-gigabyte-layer" 480 containerd_big $line
done
