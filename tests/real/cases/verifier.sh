# The image verifier in a containerd whose way to the registry is open: what asks it, and what it stops.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

VERIFIER=${IMAGE_VERIFIER:-$(dirname "$PRATIQUE")/pratique-image-verifier}

# verified_node LINE: a node that would go past the mirror, with the verifier and a note of what it was asked
verified_node() {
  local line=$1
  [ -x "$VERIFIER" ] || fail "no verifier at $VERIFIER; IMAGE_VERIFIER names it"
  mkdir -p "$CASE/bin"
  # What containerd runs notes that it was run, and becomes the verifier.
  cat >"$CASE/bin/pratique" <<SH
#!/bin/sh
echo "\$@" >>"$CASE/asked"
exec "$VERIFIER" "\$@"
SH
  chmod 0755 "$CASE/bin/pratique"
  cat >"$CASE/verifier.toml" <<TOML
mirrors = ["http://$MIRROR"]
timeout = "8s"
[offline]
keys      = ["$CASE/mirror.pub"]
summaries = "$CASE/summaries"
remember  = true
TOML
  export PRATIQUE_IMAGE_VERIFIER_CONFIG=$CASE/verifier.toml
  NODE_EXTRA="[plugins.\"io.containerd.image-verifier.v1.bindir\"]
  bin_dir = \"$CASE/bin\"
  max_verifiers = 10
  per_verifier_timeout = \"10s\""
  open_hosts "$CASE/hosts.d"
  mirror_with general
  "$PRATIQUE" public-key --config "$CASE/pratique.toml" >"$CASE/mirror.pub" || fail "no public key"
  node_start "$line" "$CASE/hosts.d"
  touch "$CASE/fallback-expected"
}
was_asked() { [ -s "$CASE/asked" ]; }

# A version or a way that does not ask: what is denied is pulled past the mirror, verifier or not.
verifier_is_not_asked() { # LINE BY
  verified_node "$1"
  pulled "$2" up.test/denied/alpine:3.23
  ! was_asked || fail "$2 of containerd $1 asks the verifier now: say so in docs/image-verifier.md"
}

verifier_stops() { # LINE BY
  local line=$1 by=$2
  verified_node "$line"
  succeeds "the verifier's own check" "$VERIFIER" --check
  # What the mirror refuses comes from the registry itself, and is not kept.
  pull_refused "$by" up.test/denied/alpine:3.23 'Denied'
  was_asked || fail "$by was refused, and not by the verifier: $(last_line)"
  pull_refused "$by" up.test/lib/alpine:unsigned 'not signed by team'
  pull_refused "$by" up.test/asked/docker:1 'Pending approval R-[0-9]+'
  approve_what_was_said
  pulled "$by" up.test/asked/docker:1
  pulled "$by" up.test/lib/alpine:3.23
  # With the mirror away, what was admitted is admitted still, by what the mirror signed, and nothing else.
  mirror_stop
  node_forgets up.test/lib/alpine:3.23
  pulled "$by" up.test/lib/alpine:3.23
  pull_refused "$by" up.test/open/zstd:1 'no summary of sha256:'
  # Without settings nothing is kept.
  mv "$CASE/verifier.toml" "$CASE/verifier.toml.away"
  pull_refused "$by" up.test/open/multi:1 'image verifier: .*verifier.toml'
}
node_forgets() {
  local space
  for space in test k8s.io; do
    timeout 30 "$RIG/bin/ctr-$NODE_LINE" --address "$NODE/sock" -n $space images rm --sync "$1" >>"$CASE/log" 2>&1 || true
  done
}

# containerd takes a folder that is not there, or that is empty, for a yes.
verifier_is_gone() { # LINE
  verified_node "$1"
  pull_refused cri up.test/denied/alpine:3.23 'Denied'
  rm "$CASE/bin/pratique"
  pulled cri up.test/denied/alpine:3.23
}

for line in 1.6 1.7; do
  for by in ctr cri; do register "verifier-not-asked-$line-$by" 120 verifier_is_not_asked $line $by; done
done
for by in ctr cri; do register "verifier-stops-2-$by" 180 verifier_stops 2 $by; done
register verifier-not-asked-1.7-ctr-transfer 120 verifier_is_not_asked 1.7 ctr-transfer
register verifier-not-asked-2-ctr-local 120 verifier_is_not_asked 2 ctr-local
register verifier-gone-2 120 verifier_is_gone 2
