# The bypass canary on real nodes: a closed node is closed in every way, and each way to configure it wrongly turns
# the way red that it opens, whoever pulls.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

doctor_canary=up.test/denied/alpine:3.23

# closed_everywhere DIRECTORY: the closed form for what is listed and for all else
closed_everywhere() {
  closed_hosts "$1"
  mkdir -p "$1/_default"
  cp "$1/up.test/hosts.toml" "$1/_default/hosts.toml"
}
# doctor_says [ARGUMENT...]: what the doctor found, in $CASE/report.json; its status in $STATUS
doctor_says() {
  local runtimes=(--runtime "cri=$NODE/sock")
  [ -z "$NODE_HOSTS" ] || runtimes+=(--runtime "ctr=$RIG/bin/ctr-$NODE_LINE" --ctr-socket "$NODE/sock" --hosts-dir "$NODE_HOSTS")
  CLIENT_LIMIT=240
  STATUS=0
  timeout -k 5 $CLIENT_LIMIT "$PRATIQUE" doctor --kit "$CASE/node.toml" --mirror "http://$MIRROR" --node "node-$NODE_LINE" "${runtimes[@]}" \
    --canary "$doctor_canary" --no-egress --json "$@" >"$CASE/report.json" 2>>"$CASE/log" || STATUS=$?
  cat "$CASE/report.json" >>"$CASE/log"
}
# finds WAY BY STATE: every finding of the way by that runtime is so
finds() {
  local states
  states=$(jq -r --arg way "$1" --arg by "$2" '[.findings[] | select(.way == $way and .by == $by) | .state] | unique | join(" ")' "$CASE/report.json")
  [ "$states" = "$3" ] || fail "$1 by $2 is ${states:-missing}, not $3: $(jq -c --arg way "$1" '.findings[] | select(.way == $way)' "$CASE/report.json" | head -c 400)"
}
ends_with() { [ "$STATUS" = "$1" ] || fail "the doctor ended with $STATUS, not $1: $(head -c 300 "$CASE/report.json")"; }
# Neither an image nor a namespace of the doctor is on the node.
nothing_is_left() {
  local ctr=("$RIG/bin/ctr-$NODE_LINE" --address "$NODE/sock") namespace
  for namespace in k8s.io pratique-doctor; do
    ! timeout 30 "${ctr[@]}" -n $namespace images ls -q | grep -E 'pratique-canary|denied/' || fail "an image is left in $namespace"
  done
  ! timeout 30 "${ctr[@]}" namespaces ls -q | grep -q pratique-doctor || fail "the doctor's namespace is left"
}

doctor_closed() {
  local line=$1 by
  closed_everywhere "$CASE/hosts.d"
  mirror_with general
  node_start "$line" "$CASE/hosts.d"
  doctor_says
  for by in cri ctr; do
    finds unlisted $by closed
    finds layer-urls $by closed
    finds fallback $by closed
  done
  finds mirror self closed
  ends_with 0
  nothing_is_left
  # What nodes have tried is no request of anybody but for the canary.
  admin requests --state all --json
  ! grep -q pratique-canary "$CASE/said" || fail "images of the decoy were filed as requests"
  # With the mirror away nothing is proven, and nothing is open.
  mirror_stop
  doctor_says
  finds mirror self untried
  finds unlisted cri untried
  ends_with 2
}

# broken_by LINE WHICH: the hosts directory and what is expected of it
doctor_finds() {
  local line=$1 which=$2 by unlisted=closed fallback=closed hosts=$CASE/hosts.d
  closed_everywhere "$hosts"
  case $which in
    no-default)
      rm -rf "$hosts/_default"
      unlisted=open
      ;;
    open-form)
      rm -rf "$hosts/up.test"
      open_hosts "$hosts"
      fallback=open
      ;;
    unknown-capability)
      sed -i 's|"resolve"\]|"resolve", "no-such-capability"]|' "$hosts/up.test/hosts.toml" "$hosts/_default/hosts.toml"
      unlisted=open fallback=open
      ;;
    server-only)
      printf 'server = "http://%s"\n' "$MIRROR" | tee "$hosts/up.test/hosts.toml" >"$hosts/_default/hosts.toml"
      # containerd 2 understands it.
      [ "$line" = 2 ] || unlisted=open fallback=open
      ;;
    shadowed)
      # Left by somebody: it hides _default.
      rm -rf "$hosts/up.test"
      mkdir -p "$hosts/up.test"
      printf 'server = "https://up.test"\n[host."https://up.test"]\n  capabilities = ["pull", "resolve"]\n' >"$hosts/up.test/hosts.toml"
      fallback=open
      ;;
  esac
  [ $fallback = closed ] || touch "$CASE/fallback-expected"
  mirror_with general
  node_start "$line" "$hosts"
  doctor_says
  for by in cri ctr; do
    finds unlisted $by $unlisted
    finds fallback $by $fallback
  done
  finds mirror self closed
  if [ $unlisted = open ] || [ $fallback = open ]; then ends_with 3; else ends_with 0; fi
  nothing_is_left
}

# The old form in containerd's own configuration: the registry itself is always the last endpoint.
doctor_finds_legacy_mirrors() {
  local line=$1 table='"io.containerd.grpc.v1.cri".registry'
  [ "$line" != 2 ] || table="'io.containerd.cri.v1.images'.registry"
  touch "$CASE/fallback-expected"
  mirror_with general
  NODE_EXTRA="[plugins.$table.mirrors.\"*\"]
  endpoint = [\"http://$MIRROR\"]"
  node_start "$line" ""
  doctor_says
  finds unlisted cri open
  finds fallback cri open
  finds mirror self closed
  ends_with 3
  nothing_is_left
}

for line in 1.6 1.7 2; do
  register "doctor-$line-closed" 300 doctor_closed $line
  for which in no-default open-form unknown-capability server-only shadowed; do
    register "doctor-$line-$which" 240 doctor_finds $line $which
  done
  register "doctor-$line-legacy-mirrors" 240 doctor_finds_legacy_mirrors $line
done
