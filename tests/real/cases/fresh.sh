# New images wait until they have been known for a while, unless the team signs for them; old ones are refused.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

containerd_fresh() {
  local line=$1 by
  containerd_node "$line" fresh
  for by in ctr cri; do
    pull_refused $by up.test/lib/alpine:unsigned '403 .*Denied by rule lib: cooling down until 20[0-9T:-]+Z, here since 20'
    pulled $by up.test/lib/alpine:bundle
    pull_refused $by up.test/open/alpine:3.23 '403 .*Denied by rule open: (built|nothing says when it was built)'
  done
  image_is_complete up.test/lib/alpine:bundle
  admin explain up.test/lib/alpine:unsigned
  [ "$STATUS" = 3 ] && grep -Eq '^freshness +FAIL +cooling down until' "$CASE/said" ||
    fail "explain does not say what it waits for: $(last_line)"
}

for line in 1.7 2; do
  register "containerd-$line-fresh" 120 containerd_fresh $line
done
