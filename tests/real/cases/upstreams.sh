# docker-registry as upstream in its three forms. The open form is under every other case.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

private_image_pulls() { # REGISTRY_NAME
  closed_hosts "$CASE/hosts.d"
  mirror_with general
  node_start 2 "$CASE/hosts.d"
  pulled ctr "$1/private/alpine:3.23"
  pulled cri "$1/private/alpine:3.23"
}
# The control: without credentials neither registry gives anything, with them both do.
upstream_control() {
  local path=/v2/private/alpine/manifests/3.23 bearer
  local ask=(curl -s -o /dev/null -w '%{http_code}' --max-time 20 --cacert "$RUN/tls/ca.crt" -H 'Accept: application/vnd.oci.image.manifest.v1+json')
  local basic=https://127.0.0.1:$BASIC_PORT$path token=http://127.0.0.1:$TOKEN_PORT$path realm="http://127.0.0.1:$REALM_PORT/token"
  [ "$("${ask[@]}" "$basic")" = 401 ] || fail "the Basic registry asks for nothing"
  [ "$("${ask[@]}" "$token")" = 401 ] || fail "the token registry asks for nothing"
  [ "$("${ask[@]}" "$realm?service=token.test")" = 401 ] || fail "the token server asks for nothing"
  [ "$("${ask[@]}" -u "$UPSTREAM_USER:$UPSTREAM_PASSWORD" "$basic")" = 200 ] || fail "the Basic registry refuses its user"
  bearer=$(curl -fsS --max-time 20 -u "$UPSTREAM_USER:$UPSTREAM_PASSWORD" "$realm?service=token.test&scope=repository:private/alpine:pull" | jq -r .token)
  [ "$("${ask[@]}" -H "Authorization: Bearer $bearer" "$token")" = 200 ] || fail "the token registry refuses its token"
}
upstream_basic() { private_image_pulls basic.test; }
upstream_token() {
  local before
  before=$(wc -l <"$RUN/token-server.log")
  private_image_pulls token.test
  tail -n "+$((before + 1))" "$RUN/token-server.log" | grep -q '^[A-Z]* known .*private/alpine' || fail "the token server was never asked with credentials"
}
# With a wrong password nothing is served and nobody is told that the image does not exist.
upstream_wrong_password() {
  local name status
  mirror_config general
  printf 'wrong' >"$CASE/password"
  mirror_start
  for name in basic.test token.test; do
    status=$(curl -s -o "$CASE/said" -w '%{http_code}' --max-time 60 "http://$MIRROR/v2/private/alpine/manifests/3.23?ns=$name")
    case $status in
      403 | 503) ;;
      *) fail "$name with a wrong password is answered $status: $(head -c 200 "$CASE/said")" ;;
    esac
  done
}

# An upstream that lies about one byte of a layer: no client gets a complete answer, and nothing of it is kept.
upstream_lies() {
  local layer link status=0
  start_link $UPSTREAM_LINK_PORT $UPSTREAM_PORT --flip-at 50000000
  link=$STARTED
  mirror_with general $UPSTREAM_LINK_PORT
  layer=$(curl -fsS --max-time 30 "http://$MIRROR/v2/open/cut/manifests/1?ns=up.test" | jq -r '.layers[0].digest')
  curl -sS -o "$CASE/layer" --max-time 60 "http://$MIRROR/v2/open/cut/blobs/$layer?ns=up.test" -w '%{http_code}' >"$CASE/status" 2>>"$CASE/log" || status=$?
  grep -q '^flip' "$CASE/link.log" || fail "the link did not lie"
  [ "$status" != 0 ] || [ "$(cat "$CASE/status")" != 200 ] || fail "a layer with a wrong byte was served as complete"
  ! cmp -s "$CASE/layer" "$FIXTURES/blobs/sha256/${layer#sha256:}" || fail "the layer is right: the link did not lie to it"
  kill "$link"
  wait_until 10 link_is_down || fail "the link did not stop"
  start_link $UPSTREAM_LINK_PORT $UPSTREAM_PORT
  wait_until 60 layer_is_right "$layer" || fail "an honest upstream does not help any more"
}
link_is_down() { ! port_answers 127.0.0.1:$UPSTREAM_LINK_PORT; }
layer_is_right() {
  curl -fsS -o "$CASE/layer" --max-time 30 "http://$MIRROR/v2/open/cut/blobs/$1?ns=up.test" &&
    cmp -s "$CASE/layer" "$FIXTURES/blobs/sha256/${1#sha256:}"
}

# With the upstream away, what is admitted and cached goes on: a new node pulls it by tag and by digest.
upstream_away() {
  local link
  start_link $UPSTREAM_LINK_PORT $UPSTREAM_PORT
  link=$STARTED
  closed_hosts "$CASE/hosts.d"
  mirror_with general $UPSTREAM_LINK_PORT
  node_start 1.7 "$CASE/hosts.d"
  pulled cri up.test/lib/alpine:3.23
  pulled cri up.test/open/multi:1
  node_stop
  kill "$link"
  wait_until 10 link_is_down || fail "the link did not stop"
  node_start 1.7 "$CASE/hosts.d"
  pulled cri up.test/lib/alpine:3.23
  pulled cri up.test/open/multi:1
  pulled ctr "up.test/lib/alpine@$(digest_of lib/alpine:3.23)"
  pull_refused cri up.test/open/alpine:3.23 '503'
  # ... also after a restart of the mirror, from what it has written down
  mirror_stop
  mirror_start
  node_stop
  node_start 2 "$CASE/hosts.d"
  pulled cri up.test/lib/alpine:3.23
  pulled ctr "up.test/open/multi@$(digest_of open/multi:1)"
}

register upstream-lies 150 upstream_lies
register upstream-away 200 upstream_away
register upstream-control 60 upstream_control
register upstream-basic 120 upstream_basic
register upstream-token 120 upstream_token
register upstream-wrong-password 90 upstream_wrong_password
