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
