# What a signer says does not matter in an image, by the real cosign, is served; and nobody else's word is.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

# attest_vex COSIGN_LINE KEY TAG: an OpenVEX document about app/web:TAG, attested as people do
attest_vex() {
  local digest options
  digest=$("$RIG/bin/crane" --insecure digest "127.0.0.1:$SCANNED_PORT/app/web:$3")
  cat >"$CASE/vex-$3.json" <<JSON
{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.test/vex/$3", "author": "$2", "version": 1,
 "timestamp": "$(date -u +%FT%TZ)",
 "statements": [{"vulnerability": {"name": "CVE-2026-1"}, "status": "not_affected",
   "products": [{"@id": "pkg:oci/web@$digest", "subcomponents": [{"@id": "pkg:deb/debian/openssl@3.0.11-1"}]}],
   "justification": "vulnerable_code_not_in_execute_path"}]}
JSON
  options=(--key "$FIXTURES/$2.key" --type openvex --predicate "$CASE/vex-$3.json" --tlog-upload=false --allow-http-registry --allow-insecure-registry -y)
  [ "$1" = 2 ] || options+=(--use-signing-config=false)
  export COSIGN_CACHE=$CASE/cosign TUF_ROOT=$CASE/tuf COSIGN_PASSWORD=''
  succeeds "cosign $1 attest" "$RIG/bin/cosign-$1" attest "${options[@]}" "127.0.0.1:$SCANNED_PORT/app/web@$digest"
}

containerd_vex() {
  local line=$1
  STORAGE=$CASE/registry READ_ONLY=false registry scanned $SCANNED_PORT "" ""
  debian_image 3.0.11-1 bad
  debian_image 3.0.11-1 bundle
  debian_image 3.0.11-1 envelope
  attest_vex 3 stranger bad
  attest_vex 3 team bundle
  attest_vex 2 team envelope
  closed_hosts "$CASE/hosts.d" ""
  mirror_with vex $SCANNED_PORT
  known 3.0.13-1
  wait_until 20 grep -q 'vulnerability database in force' "$CASE/pratique.log" || fail "the database is not in force"
  node_start "$line" "$CASE/hosts.d"
  pulled ctr up.test/app/web:bundle
  pulled cri up.test/app/web:envelope
  pull_refused cri up.test/app/web:bad 'CVE-2026-1 in openssl 3.0.11-1, fixed in 3.0.13-1'
  admin explain up.test/app/web:bad
  tr -s ' \n' ' ' <"$CASE/said" | grep -q 'a VEX document was not used: not signed by team' || fail "explain: $(last_line)"
  # The team says so, too: what was refused is looked at again within a minute.
  attest_vex 3 team bad
  wait_until 90 eval 'pull_command ctr up.test/app/web:bad; timeout 30 "${PULL[@]}" >/dev/null 2>&1' || fail "still refused: $(last_line)"
  pulled cri up.test/app/web:bad
  admin explain up.test/app/web:bad
  tr -s ' \n' ' ' <"$CASE/said" | grep -q '1 not affected, by team' || fail "explain: $(last_line)"
}

scan_with_vex() {
  STORAGE=$CASE/registry READ_ONLY=false registry scanned $SCANNED_PORT "" ""
  debian_image 3.0.11-1 bad
  attest_vex 3 stranger bad
  mirror_config vex $SCANNED_PORT
  known 3.0.13-1
  admin scan --fail-on high up.test/app/web:bad
  [ "$STATUS" = 3 ] || fail "scan without a document: $STATUS"
  # Whoever names the document says that it holds.
  admin scan --fail-on high --vex "$CASE/vex-bad.json" up.test/app/web:bad
  [ "$STATUS" = 0 ] && grep -q '^SUPPRESSED CVE-2026-1 in openssl 3.0.11-1, not affected' "$CASE/said" || fail "scan --vex: $STATUS $(last_line)"
}

for line in 1.7 2; do
  register "containerd-$line-vex" 240 containerd_vex $line
done
register scan-vex 60 scan_with_vex
