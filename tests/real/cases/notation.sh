# Images signed with notation: containerd takes them through the gate, notation verifies them through the mirror.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

containerd_notation() {
  local line=$1 by tag
  containerd_node "$line" notation
  for by in ctr cri; do
    pulled $by up.test/lib/notation:jws
    pulled $by up.test/lib/notation:cose
    for tag in stranger borrowed unsigned; do
      pull_refused $by "up.test/lib/notation:$tag" '403 .*Denied.*sign'
    done
  done
  image_is_complete up.test/lib/notation:jws
  image_is_complete up.test/lib/notation:cose
  export XDG_CONFIG_HOME=$FIXTURES/notation-keys XDG_CACHE_HOME=$CASE/cache
  for tag in jws cose; do
    succeeds "notation verify" "$RIG/bin/notation" verify --insecure-registry \
      "$MIRROR/up.test/lib/notation@$(digest_of lib/notation:$tag)"
  done
}

for line in 1.6 1.7 2; do
  register "containerd-$line-notation" 120 containerd_notation $line
done
