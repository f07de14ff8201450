# What is in an image is known before a node gets a byte of it.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

SCANNED_PORT=25007

# debian_image VERSION TAG: a Debian 12 with openssl of that version, in two layers, one of them compressed
debian_image() {
  local root=$CASE/root-$2
  mkdir -p "$root/base/etc" "$root/top/var/lib/dpkg" "$root/top/opt"
  printf 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n' >"$root/base/etc/os-release"
  printf 'Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n\n' "$1" >"$root/top/var/lib/dpkg/status"
  head -c 3000000 /dev/urandom >"$root/top/opt/large"
  tar -C "$root/base" -cf "$root/base.tar" .
  tar -C "$root/top" -czf "$root/top.tar.gz" .
  succeeds "image $2" "$RIG/bin/crane" --insecure append --oci-empty-base --platform linux/amd64 \
    -f "$root/base.tar" -f "$root/top.tar.gz" -t "127.0.0.1:$SCANNED_PORT/app/web:$2"
  "$RIG/bin/crane" --insecure mutate --set-platform linux/amd64 "127.0.0.1:$SCANNED_PORT/app/web:$2" -t "127.0.0.1:$SCANNED_PORT/app/web:$2" >/dev/null 2>&1 || true
}
# known FIXED-IN: the mirror's database says that openssl is vulnerable below that version
known() {
  local date
  date=$(date -u +%FT%TZ)
  cat >"$CASE/CVE-2026-1.json" <<JSON
{"schema_version": "1.6.0", "id": "CVE-2026-1", "published": "2026-01-01T00:00:00Z", "modified": "$date",
 "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
 "affected": [{"package": {"ecosystem": "Debian:12", "name": "openssl"},
   "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "$1"}]}]}]}
JSON
  admin db import "$CASE/CVE-2026-1.json"
  [ "$STATUS" = 0 ] || fail "db import: $(last_line)"
}
blob_bytes_of_nodes() { curl -fs "http://$ADMIN/metrics" | awk '$1 == "pratique_blob_bytes_total" {print $2}'; }

containerd_scanned() {
  local line=$1 by before
  STORAGE=$CASE/registry READ_ONLY=false registry scanned $SCANNED_PORT "" ""
  debian_image 3.0.11-1 bad
  debian_image 3.0.13-1 good
  closed_hosts "$CASE/hosts.d" ""
  mirror_with scanned $SCANNED_PORT
  node_start "$line" "$CASE/hosts.d"
  # No database: nothing is decided, and nothing is served.
  pull_command ctr up.test/app/web:good
  attempt "${PULL[@]}"
  [ "$STATUS" != 0 ] || fail "an image was served without a database"
  known 3.0.13-1
  wait_until 20 grep -q 'vulnerability database in force' "$CASE/pratique.log" || fail "the database is not in force"
  for by in ctr cri; do
    pull_refused $by up.test/app/web:bad 'CVE-2026-1 in openssl 3.0.11-1, fixed in 3.0.13-1'
  done
  before=$(blob_bytes_of_nodes)
  [ "$before" = 0 ] || fail "$before bytes of blobs reached the node"
  # What could not be decided a moment ago is asked again after a pause.
  wait_until 60 eval 'pull_command ctr up.test/app/web:good; timeout 30 "${PULL[@]}" >/dev/null 2>&1'
  pulled cri up.test/app/web:good
  admin explain up.test/app/web:good
  [ "$STATUS" = 0 ] && grep -Eq '^scan +pass +1 packages, nothing found' "$CASE/said" || fail "explain: $(last_line)"
}

scan_command() {
  local up=127.0.0.1:$SCANNED_PORT
  STORAGE=$CASE/registry READ_ONLY=false registry scanned $SCANNED_PORT "" ""
  debian_image 3.0.11-1 bad
  mirror_config scanned $SCANNED_PORT
  admin scan up.test/app/web:bad
  [ "$STATUS" = 2 ] && grep -q 'no vulnerability database' "$CASE/said" || fail "scan without a database: $STATUS $(last_line)"
  known 3.0.13-1
  admin scan up.test/app/web:bad
  [ "$STATUS" = 0 ] && grep -Eq '^critical +CVE-2026-1 +openssl +3.0.11-1 +3.0.13-1' "$CASE/said" || fail "scan: $STATUS $(last_line)"
  admin scan --fail-on high up.test/app/web:bad
  [ "$STATUS" = 3 ] || fail "scan --fail-on high: $STATUS"
  succeeds "skopeo copy" skopeo copy --src-tls-verify=false "docker://$up/app/web:bad" "oci:$CASE/layout:bad"
  admin scan --format sarif "oci:$CASE/layout:bad"
  [ "$STATUS" = 0 ] && grep -q '"ruleId": "CVE-2026-1"' "$CASE/said" || fail "scan of a layout: $STATUS $(last_line)"
}

for line in 1.6 1.7 2; do
  register "containerd-$line-scanned" 180 containerd_scanned $line
done
register scan-command 60 scan_command
