# Names, addresses and small helpers that every script of the suite uses. Sourced, never run.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
RIG=${RIG:-/var/tmp/pratique-rig}
RUN=$RIG/run           # what is running now: logs, certificates, results
FIXTURES=$RIG/fixtures # images, keys and signatures, kept between runs
# What a throw-away Sigstore instance signed, see the script there.
KEYLESS=$PROJECT/tests/fixtures/signatures/keyless
PYTHON=/usr/bin/python3

# The suite has a network namespace of its own, so fixed ports meet nobody.
MIRROR=127.0.0.1:5000
ADMIN=127.0.0.1:5001
UPSTREAM_PORT=25001
BASIC_PORT=25002
TOKEN_PORT=25003
REALM_PORT=25009
LINK_PORT=5100          # tools/link.py between a node and the mirror
UPSTREAM_LINK_PORT=25100 # tools/link.py between the mirror and its upstream
CANARY_ADDRESS=127.0.0.77
UPSTREAM_USER=alice
UPSTREAM_PASSWORD='s3cret pass'

# Seconds that one client command may take.
CLIENT_LIMIT=${CLIENT_LIMIT:-90}

note() { printf '     %s\n' "$*"; }
fail() { printf '%s\n' "$*" >"$CASE/why"; exit 1; }
skip() { printf '%s\n' "$*" >"$CASE/why"; exit 77; }

# wait_until SECONDS COMMAND...: true as soon as the command is.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.05
  done
}
port_answers() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }

# digest_of NAME:TAG: the digest of a fixture.
digest_of() { awk -F '\t' -v name="$1" '$1 == name {print $2; found=1} END {exit !found}' "$FIXTURES/digests.tsv"; }

# --- looking at what a client said ----------------------------------------------------------------------

# attempt COMMAND...: runs a client, keeps what it said in $CASE/said, gives its exit status in $STATUS.
attempt() {
  STATUS=0
  printf '$ %s\n' "$*" >>"$CASE/log"
  timeout -k 5 "$CLIENT_LIMIT" "$@" >"$CASE/said" 2>&1 </dev/null || STATUS=$?
  cat "$CASE/said" >>"$CASE/log"
  printf -- '-> %s\n' "$STATUS" >>"$CASE/log"
  [ "$STATUS" != 124 ] || fail "no answer within $CLIENT_LIMIT s: $*"
}
last_line() { grep -v '^[[:space:]]*$' "$CASE/said" | tail -1 | cut -c1-300; }
succeeds() { # WHAT COMMAND...
  local what=$1
  shift
  attempt "$@"
  [ "$STATUS" = 0 ] || fail "$what: $(last_line)"
}
# refused WHAT PATTERN COMMAND...: the client fails and what it says matches the pattern.
refused() {
  local what=$1 pattern=$2
  shift 2
  attempt "$@"
  [ "$STATUS" != 0 ] || fail "$what was served: $(last_line)"
  tr '\n' ' ' <"$CASE/said" | grep -Eq "$pattern" || fail "$what: the refusal does not say /$pattern/: $(last_line)"
}
# The request id in what the client just said.
request_id() { grep -oE 'R-[0-9]+' "$CASE/said" | head -1; }

# containerd shows the reason phrase, everyone else the sentence in the body: two wordings of one refusal.
DENIED='([Dd]enied|DENIED)'
PENDING='(Pending|waits for) approval.*R-[0-9]+'

# row CLIENT COLUMN: one green cell of the table; the text that the client showed goes along.
row() {
  local text
  # digests short, as for people
  text=$(tr '\n\t' '  ' <"$CASE/said" | sed -E 's/([0-9a-f]{12})[0-9a-f]{52}/\1/g' | grep -oE '(Pending approval|Denied|[^ "]+ (is denied|waits for approval)).{0,200}' | head -1 | sed 's/[^[:print:]]//g; s/[;:] map\[.*//; s/[" ]*$//' || true)
  printf '%s\t%s\t%s\n' "$1" "$2" "$text" >>"$RUN/table.tsv"
}

# --- the address that only a fallback reaches -----------------------------------------------------------

canary_lines() { wc -l <"$RUN/canary.log"; }
canary_mark() { canary_lines >"$CASE/canary-mark"; }
# What has arrived there since the case began.
canary_seen() { tail -n "+$(($(cat "$CASE/canary-mark") + 1))" "$RUN/canary.log"; }
canary_is_silent() {
  local seen
  seen=$(canary_seen)
  [ -z "$seen" ] || fail "a fallback reached the upstream's own address: $(head -3 <<<"$seen" | paste -sd';')"
  port_answers "$CANARY_ADDRESS:443" || fail "nobody listens where a fallback would go: the silence proves nothing"
}
# Requests that the configured upstream has seen since the mark.
upstream_mark() { grep -c . "$RUN/upstream.log" >"$CASE/upstream-mark" || true; }
upstream_requests() {
  tail -n "+$(($(cat "$CASE/upstream-mark") + 1))" "$RUN/upstream.log" |
    jq -rR 'fromjson? | select(."http.request.uri" != null and .msg == "response completed") | ."http.request.method" + " " + ."http.request.uri"'
}
