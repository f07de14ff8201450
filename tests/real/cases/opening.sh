# The way out: with the mirror gone, a node is opened by a permit that two people signed, and closes itself.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

person() { # NAME: a key of theirs, and its public half among the openers of this node
  openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$CASE/$1.pem"
  mkdir -p /etc/pratique/openers
  openssl ec -in "$CASE/$1.pem" -pubout -out "/etc/pratique/openers/$1.pem" 2>/dev/null
  chmod 644 "/etc/pratique/openers/$1.pem"
}
node_says() { # PATTERN
  node_command verify
  grep -Eq "$1" "$CASE/said" || fail "node verify does not say /$1/: $(head -3 "$CASE/said" | paste -sd' ')"
}
# With the mirror back, the canary of an opened node is amber, not red, and the mirror's audit has the opening.
canary_of_the_opened() {
  local amber='[.findings[] | select(.way | IN("fallback", "unlisted", "files")) | .state] | unique == ["declared"]'
  mirror_start
  "$PRATIQUE" token new nodes --role node --config "$CASE/pratique.toml" >"$CASE/node.token" 2>>"$CASE/log"
  chmod 600 "$CASE/node.token"
  attempt timeout 120 "$PRATIQUE" doctor --node worker-1 --runtime "cri=$NODE/sock" --canary up.test/denied/alpine:3.23 \
    --no-egress --json --report "http://$ADMIN" --token-file "$CASE/node.token"
  [ "$STATUS" = 0 ] || fail "the doctor ended with $STATUS on an opened node: $(last_line)"
  jq -e "$amber" "$CASE/said" >/dev/null || fail "the canary is not amber: $(jq -c '.findings' "$CASE/said" | head -c 600)"
  admin audit --json
  jq -e '[.. | objects | select(.action? == "node-opened" and (.reason | test("worker-1") and test("alice, bob")))] | length == 1' \
    "$CASE/said" >/dev/null || fail "the audit does not know of the opening"
  mirror_stop
}
opening() { # LINE
  local line=$1 by permit=$CASE/permit.jsonl name waiting
  fresh_etc
  mirror_with general
  own_containerd "$line"
  install_node "$(version_of "$line")"
  name=$(cat /etc/hostname 2>/dev/null || hostname)
  person alice
  person bob
  node_command permit new --node "$name" --longest 5 --valid 1d --for "the mirror is lost" --key "$CASE/alice.pem" -o "$permit"
  [ "$STATUS" = 0 ] || fail "permit new: $(last_line)"
  run_containerd
  mirror_stop
  pull_refused cri up.test/open/multi:1 'connect|refused|dial'
  # One signature opens nothing.
  node_command open --permit "$permit" --ttl 1m --reason INC-77 --detach
  [ "$STATUS" = 3 ] || fail "one signature opened the node: $(last_line)"
  pull_refused cri up.test/open/multi:1 'connect|refused|dial'
  node_command permit sign "$permit" --key "$CASE/bob.pem"
  [ "$STATUS" = 0 ] || fail "permit sign: $(last_line)"
  touch "$CASE/fallback-expected"
  # In the background of a shell nobody stops it: it ends by its time.
  node_command open --permit "$permit" --ttl 1m --reason INC-77 --detach
  [ "$STATUS" = 0 ] || fail "node open: $(last_line)"
  node_says "opened until .* by permit NP-[0-9a-f]{8} .INC-77"
  for by in ctr cri; do pulled $by up.test/open/multi:1; done
  # What keeps nodes closed leaves it be until then.
  node_command keep --once
  pulled cri up.test/open/alpine:3.23
  canary_of_the_opened
  wait_until 75 test ! -e /etc/pratique/node/open.json || fail "the node did not close by itself"
  node_says '^closed '
  for by in ctr cri; do pull_refused $by up.test/open/zstd:1 'connect|refused|dial'; done
  # Opened in front of somebody, and ended by them.
  "$PRATIQUE" node open --permit "$permit" --ttl 5m --reason INC-78 >>"$CASE/log" 2>&1 &
  waiting=$!
  wait_until 10 grep -q INC-78 /etc/pratique/node/open.json || fail "node open did not open"
  pulled ctr up.test/open/zstd:1
  kill -INT $waiting || true
  kill -TERM $waiting 2>/dev/null || true
  wait $waiting || true
  node_says '^closed '
  # Killed: what keeps the node closes it when its time is over, and not before.
  node_command open --permit "$permit" --ttl 1m --reason INC-79 --detach
  pkill -9 -f 'node close --when-over' || fail "nothing waits for the end"
  node_command close --if-over
  node_says 'INC-79'
  sed -i 's/"until":"20../"until":"2001/; s/2001[0-9]*-/2001-/' /etc/pratique/node/open.json
  node_command keep --once
  node_says '^closed '
  [ "$(wc -l </etc/pratique/node/openings.jsonl)" = 6 ] || fail "the node's record has $(wc -l </etc/pratique/node/openings.jsonl) lines"
  jq -es 'map(.what) == ["opened","closed","opened","closed","opened","closed"] and .[0].signers == ["alice","bob"]' \
    /etc/pratique/node/openings.jsonl >/dev/null || fail "the node's record is not what was done"
}

# The way out is the same files as ever: one version shows it, and it takes its minute.
register opening-2 240 opening 2
