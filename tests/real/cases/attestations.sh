# Images with attestations by cosign 2 and 3: containerd takes them through the gate, cosign verifies them through the
# mirror.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

containerd_attested() {
  local line=$1 by tag
  containerd_node "$line" attested
  for by in ctr cri; do
    pulled $by up.test/lib/attested:cosign-2
    pulled $by up.test/lib/attested:cosign-3
    for tag in elsewhere copyleft half stranger signed; do
      pull_refused $by "up.test/lib/attested:$tag" '403 .*Denied.*not attested'
    done
  done
  image_is_complete up.test/lib/attested:cosign-3
  export COSIGN_CACHE=$CASE/cosign TUF_ROOT=$CASE/tuf
  for tag in 2 3; do
    succeeds "cosign $tag verify-attestation" "$RIG/bin/cosign-$tag" verify-attestation --key "$FIXTURES/team.pub" \
      --type slsaprovenance1 --insecure-ignore-tlog=true --allow-http-registry --allow-insecure-registry \
      "$MIRROR/up.test/lib/attested:cosign-$tag"
  done
}

for line in 1.6 1.7 2; do
  register "containerd-$line-attested" 180 containerd_attested $line
done
