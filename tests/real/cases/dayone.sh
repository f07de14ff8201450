# The first day of a running cluster: the nodes' files as `pratique node render` writes them.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

# render [OPTION...]: the files of all registries under $CASE/hosts.d
render() {
  rm -rf "$CASE/hosts.d"
  admin node render --mirror "http://$MIRROR" -o "$CASE/hosts.d" "$@"
  [ "$STATUS" = 0 ] || fail "node render: $(last_line)"
  [ -s "$CASE/hosts.d/up.test/hosts.toml" ] || fail "node render wrote nothing for up.test: $(cd "$CASE/hosts.d" && find . -type f | paste -sd' ')"
  cat "$CASE/hosts.d/up.test/hosts.toml" >>"$CASE/log"
}

# Watch first: open files and audit mode. Everything is pulled, and all of it through the mirror.
day_one_open() {
  local line=$1
  MODE=audit mirror_with one-signed-repository
  render --open
  node_start "$line" "$CASE/hosts.d"
  pulled ctr up.test/lib/alpine:unsigned
  pulled cri up.test/nobody/alpine:3.23
}

# Close it: the same node refuses what the policy does not admit.
day_one_closed() {
  local line=$1
  mirror_with one-signed-repository
  render
  node_start "$line" "$CASE/hosts.d"
  pulled ctr up.test/lib/alpine:3.23
  pulled cri up.test/lib/alpine:3.23
  pull_refused ctr up.test/lib/alpine:unsigned '403 .*Denied'
  pull_refused cri up.test/nobody/alpine:3.23 '403 .*Denied'
}

for line in 1.6 1.7 2; do
  register "day-one-open-$line" 90 day_one_open $line
  register "day-one-closed-$line" 90 day_one_closed $line
done
