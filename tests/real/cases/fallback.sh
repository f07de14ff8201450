# The control: that the other cases' silence means something. With an open hosts.toml the same refusal is
# answered by the upstream behind it, and the listener there sees the node come.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

fallback_is_seen() {
  local line=$1 by
  open_hosts "$CASE/hosts.d"
  mirror_with general
  node_start "$line" "$CASE/hosts.d"
  touch "$CASE/fallback-expected"
  for by in ctr cri; do
    canary_mark
    pulled $by up.test/denied/alpine:3.23
    canary_seen | grep -q '^request .*denied/alpine/manifests' || fail "$by went past the mirror unseen"
  done
}

for line in 1.6 1.7 2; do register "fallback-control-$line" 120 fallback_is_seen $line; done
