# What a developer reads, word for word: what docs/messages.md promises, by ctr and by the call that kubelet makes,
# refused at HEAD (the reason phrase) and at GET (the sentence of the body).
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

MESSAGES_PORT=25008
MESSAGES_URL=https://mirror.corp

messages_node() { # LINE REFUSE_AT POLICY [UPSTREAM_PORT]
  closed_everywhere "$CASE/hosts.d"
  mirror_config "$3" "${4:-}"
  sed -i "s|^listen = \"$MIRROR\"|&\nrefuse_at = \"$2\"\n${MORE_NODE:-}|; s|^listen = \"$ADMIN\"|&\npublic_url = \"$MESSAGES_URL\"|" "$CASE/pratique.toml"
  mirror_start
  node_start "$1" "$CASE/hosts.d"
}
# reads BY IMAGE TEXT: the client fails, and what it says ends with the text, where @N@ stands for the number of
# the request, and with nothing but what quotes it
reads() {
  local by=$1 image=$2 text=$3 number
  pull_command "$by" "$image"
  attempt "${PULL[@]}"
  [ "$STATUS" != 0 ] || fail "$by pulled $image"
  number=$(grep -oE "$MESSAGES_URL/r/[0-9]+" "$CASE/said" | tail -1 | grep -oE '[0-9]+$' || true)
  text=${text//@N@/$number}
  tr '\n' ' ' <"$CASE/said" | sed -E 's/ +/ /g; s/["[:space:]]*$//' >"$CASE/said.line"
  case $(cat "$CASE/said.line") in
    *"$text") ;;
    *) fail "$by of $image does not end with '$text': $(tail -c 400 "$CASE/said.line")" ;;
  esac
}
# either HEAD_TEXT GET_TEXT: by where it is refused
either() { if [ "$REFUSE_AT" = get ]; then printf '%s' "$2"; else printf '%s' "$1"; fi; }

messages_of_policy() {
  local line=$1 by image digest
  REFUSE_AT=$2
  messages_node "$line" "$REFUSE_AT" general
  for by in ctr cri; do
    image=asked/$by-$line:1 digest=$(digest_of "asked/$by-$line:1")
    reads $by "up.test/$image" "$(either "Pending approval R-@N@, see $MESSAGES_URL/r/@N@" \
      "up.test/${image%:*}@$digest waits for approval: rule asked asks for approval. Someone would have to approve this digest (rule asked). Request R-@N@: see $MESSAGES_URL/r/@N@")"
    # Refused by its name alone: nothing is known of it to show at HEAD.
    reads $by up.test/denied/alpine:3.23 "Denied by rule never: nothing of up.test/denied/alpine is served, see $MESSAGES_URL/r/@N@"
    reads $by up.test/nobody/alpine:3.23 "Denied: no rule lists up.test/nobody/alpine, see $MESSAGES_URL/r/@N@"
    reads $by other.test/a/b:1 "Denied: registry other.test is not configured, ask the admin of this mirror"
    digest=$(digest_of lib/alpine:unsigned)
    reads $by up.test/lib/alpine:unsigned "$(either "Denied by rule signed: not signed by team, see $MESSAGES_URL/r/@N@" \
      "up.test/lib/alpine@$digest is denied by rule signed: not signed by team. It would have to be signed by team. Looked in tag sha256-${digest#sha256:}.sig, tag sha256-${digest#sha256:}.att, tag sha256-${digest#sha256:} and 1 more. Request R-@N@: see $MESSAGES_URL/r/@N@")"
  done
  digest=$(digest_of open/alpine:3.23)
  pulled ctr up.test/open/alpine:3.23
  admin revoke "up.test/open/alpine@$digest" --reason "key of vendor compromised"
  [ "$STATUS" = 0 ] || fail "revoke: $(last_line)"
  timeout 30 "$RIG/bin/ctr-$NODE_LINE" --address "$NODE/sock" -n test images rm --sync up.test/open/alpine:3.23 >>"$CASE/log" 2>&1
  for by in ctr cri; do
    reads $by up.test/open/alpine:3.23 "$(either "Revoked $(date -u +%F): key of vendor compromised, see $MESSAGES_URL/r/@N@" \
      "up.test/open/alpine@$digest is denied: revoked $(date -u +%F): key of vendor compromised. first-run or another admin would have to approve or reinstate this digest. Request R-@N@: see $MESSAGES_URL/r/@N@")"
  done
}

# Upstream away and nothing cached.
messages_upstream_down() {
  local line=$1 by
  REFUSE_AT=$2
  messages_node "$line" "$REFUSE_AT" general $MESSAGES_PORT
  for by in ctr cri; do
    reads $by up.test/open/alpine:3.23 "Upstream up.test failed and nothing is cached, try again shortly"
  done
}

# The disk of the trust ledger is full: what cannot be put on record is not served.
messages_mirror_fails() {
  local line=$1 by
  REFUSE_AT=$2
  mkdir -p "$CASE/data"
  mount -t tmpfs -o size=16m tmpfs "$CASE/data"
  messages_node "$line" "$REFUSE_AT" general
  dd if=/dev/zero of="$CASE/data/filling" bs=64k 2>/dev/null || true
  dd if=/dev/zero of="$CASE/data/filling-more" bs=512 2>/dev/null || true
  for by in ctr cri; do
    reads $by up.test/open/alpine:3.23 "Mirror unavailable, failing closed, try again shortly"
  done
  mirror_stop
  umount "$CASE/data"
}

# Content that no admitted image lists: no runtime asks for it, but whoever knows its digest can.
messages_unlisted_content() {
  local text="Denied: no admitted image of this repository lists it, ask the admin of this mirror" ours listed status
  mirror_with general
  succeeds "an admitted image" "$RIG/bin/crane" --insecure manifest "$MIRROR/up.test/open/alpine:3.23"
  listed=$(jq -r '.layers[0].digest // empty' "$CASE/said")
  ours=$("$RIG/bin/crane" --insecure manifest "127.0.0.1:$UPSTREAM_PORT/lib/alpine:unsigned" | jq -r .config.digest)
  [ -n "$ours" ] && [ "$ours" != "$listed" ] || fail "the fixtures have no such content"
  status=$(curl -s -o "$CASE/body" -D "$CASE/head" -w '%{http_code}' "http://$MIRROR/v2/open/alpine/blobs/$ours?ns=up.test")
  [ "$status" = 403 ] || fail "content that nothing lists is answered with $status"
  head -1 "$CASE/head" | tr -d '\r' | grep -qxF "HTTP/1.1 403 $text" || fail "the phrase is: $(head -1 "$CASE/head")"
  attempt "$RIG/bin/crane" --insecure blob "$MIRROR/up.test/open/alpine@$ours"
  [ "$STATUS" != 0 ] && tr '\n' ' ' <"$CASE/said" | grep -q "no admitted image of this repository lists" || fail "crane reads: $(last_line)"
}

# Upstream is slow, and the mirror says so before the node gives up.
messages_still_checking() {
  local line=$1
  REFUSE_AT=$2
  start_link $UPSTREAM_LINK_PORT $UPSTREAM_PORT --rate 2000
  MORE_NODE='hold_timeout = "1s"'
  messages_node "$line" "$REFUSE_AT" general $UPSTREAM_LINK_PORT
  reads cri up.test/lib/alpine:3.23 "Still checking R-1, try again shortly"
}

messages_of_scan() {
  local line=$1 by
  REFUSE_AT=$2
  STORAGE=$CASE/registry READ_ONLY=false registry scanned $SCANNED_PORT 'validation: {manifests: {urls: {allow: ["^http://"]}}}' ""
  debian_image 3.0.11-1 bad
  # A layer that is to be had elsewhere, too.
  "$RIG/bin/crane" --insecure manifest "127.0.0.1:$SCANNED_PORT/app/web:bad" |
    jq -c '.layers[0].urls = ["http://elsewhere.test/layer"]' >"$CASE/foreign.json"
  curl -fsS -X PUT -H "content-type: $(jq -r .mediaType "$CASE/foreign.json")" --data-binary "@$CASE/foreign.json" \
    "http://127.0.0.1:$SCANNED_PORT/v2/app/web/manifests/foreign" >>"$CASE/log" 2>&1 || fail "the image with an address was not pushed"
  layer=$(jq -r '.layers[0].digest' "$CASE/foreign.json" | cut -c8-19)
  # Reading the layers may take a while on a busy machine.
  MORE_NODE='hold_timeout = "25s"'
  messages_node "$line" "$REFUSE_AT" scanned $SCANNED_PORT
  known 3.0.13-1
  wait_until 20 grep -q 'vulnerability database in force' "$CASE/pratique.log" || fail "the database is not in force"
  for by in ctr cri; do
    reads $by up.test/app/web:bad "Denied by rule scanned: CVE-2026-1 in openssl 3.0.11-1, fixed in 3.0.13-1, see $MESSAGES_URL/r/@N@"
    reads $by up.test/app/web:foreign "Denied: layer $layer is meant to be fetched around the mirror, see $MESSAGES_URL/r/@N@"
  done
}

for line in 1.6 1.7 2; do
  for at in head get; do
    register "messages-$line-$at" 300 messages_of_policy $line $at
    register "messages-$line-$at-upstream-down" 120 messages_upstream_down $line $at
    register "messages-$line-$at-mirror-fails" 120 messages_mirror_fails $line $at
  done
  register "messages-$line-scan" 240 messages_of_scan $line head
  register "messages-$line-still-checking" 120 messages_still_checking $line head
done
register messages-unlisted-content 60 messages_unlisted_content
