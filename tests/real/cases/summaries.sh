# What the mirror says itself about what it admits: cosign verifies it through the mirror, with one key.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

SUMMARY=https://slsa.dev/verification_summary/v1
# verification KEY IMAGE: the command line that verifies the summary, in the array VERIFY
verification() {
  VERIFY=("$RIG/bin/cosign-3" verify-attestation --key "$1" --type $SUMMARY --new-bundle-format --insecure-ignore-tlog=true
    --allow-http-registry --allow-insecure-registry "$MIRROR/up.test/$2")
}
summary_verifies() {
  verification "$@"
  succeeds "cosign verify-attestation of $2" "${VERIFY[@]}"
}
summary_is_refused() { # PATTERN KEY IMAGE
  verification "$2" "$3"
  refused "the summary of $3" "$1" "${VERIFY[@]}"
}
cosign_summary() {
  mirror_with general
  export COSIGN_CACHE=$CASE/cosign TUF_ROOT=$CASE/tuf
  "$PRATIQUE" public-key --config "$CASE/pratique.toml" >"$CASE/mirror.pub" || fail "no public key"
  # What cosign signed, and what nobody signed: for whoever pulls here, it is one key.
  for image in "lib/alpine@$(digest_of lib/alpine:3.23)" "open/alpine@$(digest_of open/alpine:3.23)"; do
    succeeds "crane digest" "$RIG/bin/crane" --insecure digest "$MIRROR/up.test/$image"
    summary_verifies "$CASE/mirror.pub" "$image"
  done
  # Neither by another key, nor of what is not admitted.
  image="open/alpine@$(digest_of open/alpine:3.23)"
  summary_is_refused 'accepted signatures do not match' "$FIXTURES/team.pub" "$image"
  summary_is_refused 'DENIED' "$CASE/mirror.pub" "lib/alpine@$(digest_of lib/alpine:unsigned)"
  # With a new key, the old one verifies nothing new.
  succeeds "rotation" "$PRATIQUE" public-key --rotate --config "$CASE/pratique.toml"
  summary_is_refused 'accepted signatures do not match' "$CASE/mirror.pub" "$image"
  "$PRATIQUE" public-key --config "$CASE/pratique.toml" >"$CASE/mirror.pub" || fail "no public key"
  summary_verifies "$CASE/mirror.pub" "$image"
}

register cosign-3-summary 120 cosign_summary
