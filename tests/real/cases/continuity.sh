# A tag that was signed by the team and moves to what nobody signed, under a rule that asks for no signature.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

MOVING_PORT=25006

copy_to_moving() { # NAME:TAG TAG
  succeeds "copy of $1" "$RIG/bin/crane" --insecure copy "127.0.0.1:$UPSTREAM_PORT/$1" "127.0.0.1:$MOVING_PORT/open/app:$2"
}
containerd_signer_gone() {
  local line=$1 by list unsigned request
  # A registry of its own, because tags move in it.
  STORAGE=$CASE/registry READ_ONLY=false registry moving $MOVING_PORT "" ""
  list=$(digest_of lib/alpine:bundle | tr : -)
  copy_to_moving lib/alpine:bundle 1
  copy_to_moving "lib/alpine:$list" "$list"
  containerd_node "$line" general "" $MOVING_PORT
  pulled ctr up.test/open/app:1
  image_has_digest up.test/open/app:1 lib/alpine:bundle

  copy_to_moving lib/alpine:unsigned 1
  unsigned=up.test/open/app@$(digest_of lib/alpine:unsigned)
  pulled ctr up.test/open/app:1
  image_has_digest up.test/open/app:1 lib/alpine:bundle
  for by in ctr cri; do
    pull_refused $by "$unsigned" 'Pending approval R-[0-9]+: not signed by team, as 1 was before'
  done
  request=$(request_id)
  admin explain up.test/open/app:1
  [ "$STATUS" = 3 ] && grep -Eq '^continuity +waiting +not signed by team, as 1 was before' "$CASE/said" ||
    fail "explain does not say what is missing: $(last_line)"
  admin approve "$request" --reason "the team's key is being replaced"
  [ "$STATUS" = 0 ] || fail "approve: $(last_line)"
  pulled ctr up.test/open/app:1
  image_has_digest up.test/open/app:1 lib/alpine:unsigned
}

for line in 1.6 1.7 2; do
  register "containerd-$line-signer-gone" 120 containerd_signer_gone $line
done
