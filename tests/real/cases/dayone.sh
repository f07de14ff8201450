# The first day of a running cluster: the node's file as `pratique node render` writes it.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

rendered_hosts_file() {
  local line=$1
  mirror_with general
  mkdir -p "$CASE/hosts.d/up.test"
  "$PRATIQUE" node render --config "$CASE/pratique.toml" >"$CASE/hosts.d/up.test/hosts.toml" 2>>"$CASE/log" || fail "node render failed"
  cat "$CASE/hosts.d/up.test/hosts.toml" >>"$CASE/log"
  node_start "$line" "$CASE/hosts.d"
  pulled ctr up.test/open/alpine:3.23
  pull_refused ctr up.test/denied/alpine:3.23 '403 .*Denied'
  pull_refused cri up.test/denied/alpine:3.23 '403 .*Denied'
}

for line in 1.6 1.7 2; do register "day-one-rendered-hosts-$line" 90 rendered_hosts_file $line; done
