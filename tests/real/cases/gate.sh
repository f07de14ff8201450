# The gate as seen by a bare HTTP client: what no well-behaved client would ask.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

# ask PATH [CURL-OPTION...]: status in $ANSWER, reason phrase and headers in $CASE/head, body in $CASE/said.
ask() {
  local path=$1
  shift
  printf '$ curl %s %s\n' "$path" "$*" >>"$CASE/log"
  ANSWER=$(curl -sS --max-time "$CLIENT_LIMIT" -D "$CASE/head" -o "$CASE/said" -w '%{http_code}' "$@" "http://$MIRROR$path" 2>>"$CASE/log") ||
    fail "no answer to $path"
  printf -- '-> %s %s\n' "$ANSWER" "$(head -c 300 "$CASE/said" | tr -d '\0')" >>"$CASE/log"
}
answers() { # STATUS PATH [CURL-OPTION...]
  local status=$1
  shift
  ask "$@"
  [ "$ANSWER" = "$status" ] || fail "$1 is answered $ANSWER, not $status: $(head -c 200 "$CASE/said" | tr -d '\0')"
}
layer_of() { curl -fsS --max-time 20 -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://127.0.0.1:$UPSTREAM_PORT/v2/$1/manifests/$2" | jq -r '.layers[-1].digest'; }

gate_blob_by_digest_alone() {
  local own foreign
  mirror_with one-signed-repository
  own=$(layer_of lib/alpine 3.23)
  foreign=$(layer_of lib/alpine unsigned)
  answers 403 "/v2/lib/alpine/blobs/$own?ns=up.test"
  answers 200 "/v2/lib/alpine/manifests/3.23?ns=up.test"
  answers 200 "/v2/lib/alpine/blobs/$own?ns=up.test"
  cmp -s "$CASE/said" "$FIXTURES/blobs/sha256/${own#sha256:}" || fail "the layer has other bytes than upstream's"
  answers 403 "/v2/lib/alpine/blobs/$foreign?ns=up.test"
  cp "$CASE/said" "$CASE/refusal-of-what-exists"
  answers 403 "/v2/lib/alpine/blobs/sha256:$(printf 'no such blob' | sha256sum | cut -d' ' -f1)?ns=up.test"
  cmp -s "$CASE/said" "$CASE/refusal-of-what-exists" || fail "the refusal tells whether a blob exists"
  answers 403 "/v2/lib/copy/blobs/$own?ns=up.test"
  answers 403 "/v2/up.test/lib/other/blobs/$own"
  answers 403 "/v2/lib/alpine/blobs/$(digest_of lib/alpine:unsigned)?ns=up.test"
}

# The same digest through another repository, with the signature that is good for the first one.
gate_same_digest_elsewhere() {
  mirror_with one-signed-repository
  answers 200 "/v2/lib/alpine/manifests/$(digest_of lib/alpine:3.23)?ns=up.test"
  answers 403 "/v2/lib/copy/manifests/$(digest_of lib/copy:3.23)?ns=up.test"
  answers 403 "/v2/up.test/lib/copy/manifests/3.23"
}

# What no rule lists, what a rule denies and what the floor excludes is decided without asking upstream.
gate_denies_without_asking() {
  local path
  mirror_with general
  for path in '/v2/nobody/alpine/manifests/3.23?ns=up.test' '/v2/denied/alpine/manifests/3.23?ns=up.test' \
    '/v2/up.test/nobody/alpine/manifests/3.23' '/v2/lib/alpine/manifests/3.23?ns=other.test' \
    "/v2/nobody/alpine/blobs/$(digest_of open/alpine:3.23)?ns=up.test"; do
    answers 403 "$path"
    answers 403 "$path" --head
  done
  [ -z "$(upstream_requests)" ] || fail "upstream was asked: $(upstream_requests | head -2 | paste -sd';')"
}

# After an approval the digest is admitted, and only in the repository it was asked in.
gate_approval_binds_a_digest() {
  mirror_with general
  answers 403 '/v2/asked/curl/manifests/1?ns=up.test'
  grep -q 'Pending approval R-[0-9]' "$CASE/head" || fail "the reason phrase does not name the request: $(head -1 "$CASE/head")"
  jq -e '.errors[0].code == "DENIED" and (.errors[0].message | test("R-[0-9]+"))' "$CASE/said" >/dev/null || fail "the body is no OCI error that names the request"
  approve_what_was_said
  answers 200 '/v2/asked/curl/manifests/1?ns=up.test'
  answers 403 '/v2/asked/open/manifests/1?ns=up.test'
  admin revoke "up.test/asked/curl@$(digest_of asked/curl:1)" --reason "the suite takes it back"
  [ "$STATUS" = 0 ] || fail "revoke: $(last_line)"
  answers 403 '/v2/asked/curl/manifests/1?ns=up.test'
  answers 403 "/v2/asked/curl/blobs/$(layer_of asked/curl 1)?ns=up.test"
  admin audit verify
  [ "$STATUS" = 0 ] || fail "audit verify: $(last_line)"
}

# What an admin is told about a refusal: the rule, what is missing, and exit status 3.
gate_explains_itself() {
  mirror_with one-signed-repository
  answers 403 '/v2/lib/alpine/manifests/wrongkey?ns=up.test'
  admin explain up.test/lib/alpine:wrongkey
  [ "$STATUS" = 3 ] || fail "explain of a denied image ends with $STATUS, not 3: $(last_line)"
  grep -q 'alpine' "$CASE/said" && grep -q 'team' "$CASE/said" || fail "explain names neither rule nor signer"
  admin explain up.test/lib/alpine:3.23
  [ "$STATUS" = 0 ] || fail "explain of an admitted image ends with $STATUS: $(last_line)"
  admin approve "up.test/lib/alpine@$(digest_of lib/alpine:unsigned)" --reason "nobody may do this"
  [ "$STATUS" = 3 ] || fail "approving what a rule denies ends with $STATUS, not 3: $(last_line)"
  answers 403 "/v2/lib/alpine/manifests/$(digest_of lib/alpine:unsigned)?ns=up.test"
}

register gate-explains-itself 60 gate_explains_itself
register gate-blob-by-digest-alone 60 gate_blob_by_digest_alone
register gate-same-digest-elsewhere 60 gate_same_digest_elsewhere
register gate-denies-without-asking 60 gate_denies_without_asking
register gate-approval-binds-a-digest 60 gate_approval_binds_a_digest
