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
  private_image_pulls token.test
  grep -q '^[A-Z]* known .*private/alpine' "$RUN/token-server.log" || fail "the token server was never asked with credentials"
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

register upstream-control 60 upstream_control
register upstream-basic 120 upstream_basic
register upstream-token 120 upstream_token
register upstream-wrong-password 90 upstream_wrong_password
