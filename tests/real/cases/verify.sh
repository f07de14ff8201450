# `pratique verify`, as CI runs it: images at the registry, and layouts as cosign, oras and skopeo write them.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

UP=127.0.0.1:$UPSTREAM_PORT
# verified CODE TEXT ARGUMENTS...: `pratique verify` ends with CODE and says TEXT; nothing is left of it.
verified() {
  local code=$1 text=$2
  shift 2
  mkdir -p "$CASE/tmp"
  attempt env TMPDIR="$CASE/tmp" "$PRATIQUE" verify "$@" --policy "$CASE/policy.yaml" --config "$CASE/pratique.toml"
  [ "$STATUS" = "$code" ] || fail "verify $*: $STATUS instead of $code: $(last_line)"
  grep -q -- "$text" "$CASE/said" || fail "verify $*: nothing says $text: $(last_line)"
  [ -z "$(ls -A "$CASE/tmp")" ] || fail "verify $*: left $(ls "$CASE/tmp")"
  [ ! -e "$CASE/data" ] || fail "verify $*: a data directory was made"
}
verify_images() {
  mirror_config general
  verified 0 'verdict    ADMIT' up.test/lib/alpine:3.23
  verified 0 'verdict    ADMIT' up.test/lib/alpine:bundle
  verified 3 'no signature found' up.test/lib/alpine:unsigned
  verified 2 'no such image' up.test/lib/alpine:nowhere
  verified 3 '3 images: 2 admitted, 1 denied' --json up.test/lib/alpine:{3.23,bundle,unsigned}
}
verify_layouts() {
  local digest name=up.test/lib/alpine tag
  mirror_config general
  export COSIGN_CACHE=$CASE/cosign TUF_ROOT=$CASE/tuf
  # cosign save, with the signatures of cosign 2.
  succeeds "cosign save" "$RIG/bin/cosign-2" save --allow-http-registry --allow-insecure-registry \
    --dir "$CASE/saved" "$UP/lib/alpine:3.23"
  verified 0 'verdict    ADMIT' "oci:$CASE/saved" --name $name
  verified 3 'verdict    DENY' "oci:$CASE/saved" --name up.test/lib/other
  # And those of cosign 3, where it saves them.
  succeeds "cosign save" "$RIG/bin/cosign-3" save --allow-http-registry --allow-insecure-registry \
    --dir "$CASE/saved-3" "$UP/lib/alpine:bundle"
  verified 0 'verdict    ADMIT' "oci:$CASE/saved-3" --name $name
  # oras copies referrers along: the bundle of cosign 3.
  succeeds "oras cp" "$RIG/bin/oras" cp -r --from-plain-http --to-oci-layout "$UP/lib/alpine:bundle" "$CASE/copied:bundle"
  verified 0 'verdict    ADMIT' "oci:$CASE/copied:bundle" --name $name
  verified 0 'verdict    ADMIT' "oci:$CASE/copied" --name $name:bundle
  # skopeo copies what it is told to: without the signature, and with it under its tag.
  digest=$(digest_of lib/alpine:3.23)
  tag=sha256-${digest#sha256:}.sig
  succeeds "skopeo copy" skopeo copy --all --preserve-digests --src-tls-verify=false "docker://$UP/lib/alpine@$digest" "oci:$CASE/skopeo:3.23"
  verified 3 'no signature found' "oci:$CASE/skopeo:3.23" --name $name
  succeeds "skopeo copy" skopeo copy --preserve-digests --src-tls-verify=false "docker://$UP/lib/alpine:$tag" "oci:$CASE/skopeo:$tag"
  verified 0 'verdict    ADMIT' "oci:$CASE/skopeo:3.23" --name $name
  verified 0 'verdict    ADMIT' "$CASE/skopeo" --name $name
  # One byte of one layer.
  layer=$(find "$CASE/skopeo/blobs" -type f -size +20k | head -1)
  chmod u+w "$layer"
  printf x | dd of="$layer" bs=1 seek=100 conv=notrunc status=none
  verified 2 'other content than its name says' "oci:$CASE/skopeo:3.23" --name $name
}

register verify-images 60 verify_images
register verify-layouts 120 verify_layouts
