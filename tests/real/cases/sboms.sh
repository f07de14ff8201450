# Bills of materials of what was scanned: found and fetched through the mirror by clients that look for referrers.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

CYCLONEDX=application/vnd.cyclonedx+json
SPDX=application/spdx+json

# discover REFERENCE TYPE [OPTION...]: the digest of its one referrer of that type, in $FOUND
discover() {
  local reference=$1 type=$2
  shift 2
  succeeds "oras discover $reference" "$RIG/bin/oras" discover --plain-http --format json --artifact-type "$type" "$@" "$reference"
  FOUND=$(jq -r '(.referrers // .manifests // [])[].digest' "$CASE/said")
}
# pulls_bill REPOSITORY DIGEST FILE EXPECTED: oras fetches the bill, and what is expected stands in it
pulls_bill() {
  succeeds "oras pull of $3" "$RIG/bin/oras" pull --plain-http -o "$CASE/pulled" "$1@$2"
  [ -s "$CASE/pulled/$3" ] || fail "oras pull left no $3"
  grep -q "$4" "$CASE/pulled/$3" || fail "$3 does not have $4"
}

oras_bills() {
  local up=127.0.0.1:$SCANNED_PORT repository=$MIRROR/up.test/app/web purl='pkg:deb/debian/openssl@3.0.13-1' image
  STORAGE=$CASE/registry READ_ONLY=false registry scanned $SCANNED_PORT "" ""
  debian_image 3.0.11-1 bad
  debian_image 3.0.13-1 good
  succeeds "index" "$RIG/bin/crane" --insecure index append -m "$up/app/web:good" -t "$up/app/web:index"
  mirror_with scanned $SCANNED_PORT
  known 3.0.13-1
  wait_until 20 grep -q 'vulnerability database in force' "$CASE/pratique.log" || fail "the database is not in force"
  succeeds "crane digest" "$RIG/bin/crane" --insecure digest "$repository:good"
  image=$(last_line)
  discover "$repository:good" $CYCLONEDX
  pulls_bill "$repository" "$FOUND" bom.cdx.json "$purl"
  discover "$repository:good" $SPDX
  pulls_bill "$repository" "$FOUND" bom.spdx.json "$purl"
  # What the command writes is the same, but for its time and what depends on it.
  admin sbom --platform linux/amd64 --allow-incomplete -o "$CASE/own.json" up.test/app/web:good
  [ "$STATUS" = 0 ] || fail "pratique sbom: $(last_line)"
  for file in own.json pulled/bom.cdx.json; do
    jq -S 'del(.serialNumber, .metadata.timestamp)' "$CASE/$file" >"$CASE/${file##*/}.compared"
  done
  cmp "$CASE/own.json.compared" "$CASE/bom.cdx.json.compared" || fail "the bill of the mirror is another than the command's"
  # Of an index, the bill hangs on the image that it is of.
  succeeds "crane digest of the index" "$RIG/bin/crane" --insecure digest "$repository:index"
  discover "$repository:index" $CYCLONEDX
  [ -z "$FOUND" ] || fail "the index itself has a bill: $FOUND"
  discover "$repository:index" $CYCLONEDX --platform linux/amd64
  pulls_bill "$repository" "$FOUND" bom.cdx.json "$image"
  refused "bills of what is not admitted" 'DENIED|403|[Dd]enied' \
    "$RIG/bin/oras" discover --plain-http "$repository:bad"
}

# attest_bill COSIGN_LINE KEY TYPE BILL TAG
attest_bill() {
  local options=(--key "$FIXTURES/$2.key" --type "$3" --predicate "$4" --tlog-upload=false --allow-http-registry --allow-insecure-registry -y)
  local repository=127.0.0.1:$SCANNED_PORT/app/web
  [ "$1" = 2 ] || options+=(--use-signing-config=false)
  succeeds "crane digest of $5" "$RIG/bin/crane" --insecure digest "$repository:$5"
  succeeds "cosign $1 attest $5" env COSIGN_PASSWORD= "$RIG/bin/cosign-$1" attest "${options[@]}" "$repository@$(last_line)"
}

cosign_bills() {
  local up=127.0.0.1:$SCANNED_PORT repository=$MIRROR/up.test/app/web tag
  export COSIGN_CACHE=$CASE/cosign TUF_ROOT=$CASE/tuf
  STORAGE=$CASE/registry READ_ONLY=false registry scanned $SCANNED_PORT "" ""
  debian_image 3.0.13-1 good
  debian_image 3.0.11-1 bad
  # A distribution that lists none of its packages, each image with a digest of its own.
  for tag in stripped stripped-2 stripped-bad stripped-stranger; do
    succeeds "image $tag" "$RIG/bin/crane" --insecure append --oci-empty-base --platform linux/amd64 -f "$CASE/root-good/base.tar" -t "$up/app/web:$tag"
    succeeds "image $tag" "$RIG/bin/crane" --insecure mutate --set-platform linux/amd64 --label "for=$tag" -t "$up/app/web:$tag" "$up/app/web:$tag"
  done
  mirror_with billed $SCANNED_PORT
  known 3.0.13-1
  for tag in good bad; do
    admin sbom --platform linux/amd64 -o "$CASE/$tag.cdx.json" up.test/app/web:$tag
    [ "$STATUS" = 0 ] || fail "pratique sbom: $(last_line)"
    admin sbom --platform linux/amd64 --format spdx -o "$CASE/$tag.spdx.json" up.test/app/web:$tag
    [ "$STATUS" = 0 ] || fail "pratique sbom: $(last_line)"
  done
  attest_bill 3 team cyclonedx "$CASE/good.cdx.json" stripped
  attest_bill 2 team spdxjson "$CASE/good.spdx.json" stripped-2
  attest_bill 3 team cyclonedx "$CASE/bad.cdx.json" stripped-bad
  attest_bill 3 stranger cyclonedx "$CASE/good.cdx.json" stripped-stranger
  wait_until 20 grep -q 'vulnerability database in force' "$CASE/pratique.log" || fail "the database is not in force"
  succeeds "an image whose list is attested" "$RIG/bin/crane" --insecure manifest "$repository:stripped"
  succeeds "an image whose list cosign 2 attested" "$RIG/bin/crane" --insecure manifest "$repository:stripped-2"
  refused "an image with a bad bill" 'CVE-2026-1 in openssl 3.0.11-1, fixed in 3.0.13-1, listed by team' \
    "$RIG/bin/crane" --insecure manifest "$repository:stripped-bad"
  refused "an image whose list a stranger attested" 'nothing is known about the packages of debian 12' \
    "$RIG/bin/crane" --insecure manifest "$repository:stripped-stranger"
  admin explain up.test/app/web:stripped
  grep -q 'bills of materials by team (1 packages)' "$CASE/said" || fail "explain: $(last_line)"
}

register oras-sboms 90 oras_bills
register cosign-sboms 120 cosign_bills
