# Images, keys and signatures. Made once for each state of the scripts that make them. Sourced.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

fixtures_version() { cat "$HERE/tools/images.py" "$HERE/tools/keyless.py" "$HERE/tools/notation_keys.sh" "$KEYLESS"/* "$HERE/lib/fixtures.sh" "$RIG/versions.tsv" /bin/busybox | sha256sum | cut -c1-16; }

sign() { # COSIGN_LINE KEY NAME:TAG
  local line=$1 key=$2 name=$3
  local options=(--key "$FIXTURES/$key.key" --tlog-upload=false --allow-http-registry --allow-insecure-registry -y)
  # cosign 2 writes the name into what it signs: the name the clients use, not the door we push through.
  if [ "$line" = 2 ]; then
    options+=(--sign-container-identity "up.test/${name%:*}")
  else
    options+=(--use-signing-config=false)
  fi
  COSIGN_PASSWORD='' timeout 60 "$RIG/bin/cosign-$line" sign "${options[@]}" \
    "127.0.0.1:$UPSTREAM_PORT/${name%:*}@$(digest_of "$name")" >>"$RUN/fixtures.log" 2>&1 </dev/null
}

# Images of which each says in a label what it is for, so that each has a digest of its own.
make_notation_fixtures() {
  local tag place=127.0.0.1:$UPSTREAM_PORT/lib/notation options
  timeout 60 "$HERE/tools/notation_keys.sh" "$FIXTURES/notation-keys" >>"$RUN/fixtures.log" 2>&1
  for tag in jws cose stranger borrowed unsigned; do
    timeout 60 "$RIG/bin/crane" --insecure mutate --label "for=$tag" --tag "$place:$tag" \
      "127.0.0.1:$UPSTREAM_PORT/lib/alpine:unsigned" >>"$RUN/fixtures.log" 2>&1
    printf 'lib/notation:%s\t%s\n' $tag "$("$RIG/bin/crane" --insecure digest "$place:$tag")" >>"$FIXTURES/digests.tsv"
  done
  for tag in jws cose stranger; do
    options=(--insecure-registry --signature-format jws --key acme)
    case $tag in
      cose) options=(--insecure-registry --signature-format cose --key acme) ;;
      stranger) options=(--insecure-registry --signature-format jws --key stranger) ;;
    esac
    XDG_CONFIG_HOME=$FIXTURES/notation-keys XDG_CACHE_HOME=$RUN/cache timeout 60 "$RIG/bin/notation" sign "${options[@]}" \
      "$place@$(digest_of lib/notation:$tag)" >>"$RUN/fixtures.log" 2>&1
  done
  # The list of the signatures of one image, under the name of another's.
  timeout 60 "$RIG/bin/crane" --insecure copy "$place:$(digest_of lib/notation:jws | tr : -)" \
    "$place:$(digest_of lib/notation:borrowed | tr : -)" >>"$RUN/fixtures.log" 2>&1
}

attest() { # COSIGN_LINE KEY TYPE PREDICATE TAG
  local options=(--key "$FIXTURES/$2.key" --type "$3" --predicate "$FIXTURES/predicate.json" --tlog-upload=false --allow-http-registry --allow-insecure-registry -y)
  [ "$1" = 2 ] || options+=(--use-signing-config=false)
  printf '%s' "$4" >"$FIXTURES/predicate.json"
  COSIGN_PASSWORD='' timeout 60 "$RIG/bin/cosign-$1" attest "${options[@]}" \
    "127.0.0.1:$UPSTREAM_PORT/lib/attested@$(digest_of "lib/attested:$5")" >>"$RUN/fixtures.log" 2>&1 </dev/null
}
# Where images were built and of what they are made, said by cosign 2 and 3; and what does not do.
make_attested_fixtures() {
  local tag place=127.0.0.1:$UPSTREAM_PORT/lib/attested here elsewhere free copyleft
  here='{"buildDefinition": {"buildType": "https://ci.test/t", "externalParameters": {}}, "runDetails": {"builder": {"id": "https://ci.test/builder"}}}'
  elsewhere=${here/ci.test\/builder/elsewhere.test\/builder}
  free='{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "a", "documentNamespace": "https://ci.test/a", "dataLicense": "CC0-1.0", "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: none"]}, "packages": [{"name": "p", "SPDXID": "SPDXRef-p", "downloadLocation": "NONE", "licenseConcluded": "MIT"}]}'
  copyleft=${free/MIT/GPL-3.0-only}
  for tag in cosign-2 cosign-3 elsewhere copyleft half stranger signed; do
    timeout 60 "$RIG/bin/crane" --insecure mutate --label "for=attested-$tag" --tag "$place:$tag" \
      "127.0.0.1:$UPSTREAM_PORT/lib/alpine:unsigned" >>"$RUN/fixtures.log" 2>&1
    printf 'lib/attested:%s\t%s\n' $tag "$("$RIG/bin/crane" --insecure digest "$place:$tag")" >>"$FIXTURES/digests.tsv"
  done
  for tag in 2 3; do
    attest $tag team slsaprovenance1 "$here" cosign-$tag
    attest $tag team spdxjson "$free" cosign-$tag
  done
  attest 3 team slsaprovenance1 "$elsewhere" elsewhere
  attest 3 team spdxjson "$free" elsewhere
  attest 2 team slsaprovenance1 "$here" copyleft
  attest 2 team spdxjson "$copyleft" copyleft
  attest 3 team slsaprovenance1 "$here" half
  attest 3 stranger slsaprovenance1 "$here" stranger
  attest 3 stranger spdxjson "$free" stranger
  sign 3 team lib/attested:signed
}

make_fixtures() {
  local version signature
  version=$(fixtures_version)
  [ "$(cat "$FIXTURES/version" 2>/dev/null)" != "$version" ] || return 0
  rm -rf "$FIXTURES"
  mkdir -p "$FIXTURES/registry"
  export COSIGN_CACHE=$RUN/cosign TUF_ROOT=$RUN/tuf
  READ_ONLY=false registry upstream $UPSTREAM_PORT "" ""
  timeout 300 "$PYTHON" "$HERE/tools/images.py" $UPSTREAM_PORT "$FIXTURES" --big-bytes "${BIG_BYTES:-1000000000}"
  for key in team stranger; do
    COSIGN_PASSWORD='' timeout 30 "$RIG/bin/cosign-2" generate-key-pair --output-key-prefix "$FIXTURES/$key" >>"$RUN/fixtures.log" 2>&1
  done
  make_attested_fixtures
  timeout 60 "$PYTHON" "$HERE/tools/keyless.py" $UPSTREAM_PORT "$KEYLESS"
  make_notation_fixtures
  sign 2 team lib/alpine:3.23
  sign 3 team lib/alpine:bundle
  sign 2 stranger lib/alpine:wrongkey
  sign 3 stranger lib/alpine:wrongkey-bundle
  sign 2 team lib/other:1
  # The good signature of 3.23, laid beside an image it does not speak of, and beside itself in another repository.
  signature=$(digest_of lib/alpine:3.23 | tr : -).sig
  timeout 60 "$RIG/bin/crane" --insecure copy "127.0.0.1:$UPSTREAM_PORT/lib/alpine:$signature" \
    "127.0.0.1:$UPSTREAM_PORT/lib/alpine:$(digest_of lib/alpine:borrowed | tr : -).sig" >>"$RUN/fixtures.log" 2>&1
  timeout 60 "$RIG/bin/crane" --insecure copy "127.0.0.1:$UPSTREAM_PORT/lib/alpine:$signature" \
    "127.0.0.1:$UPSTREAM_PORT/lib/copy:$signature" >>"$RUN/fixtures.log" 2>&1
  stop_all
  printf '%s' "$version" >"$FIXTURES/version"
}
