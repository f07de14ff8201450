# The cache under a quota and on a full disk, pulled from by real clients; damage found and healed.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

cache_settings() { printf '\n[cache]\n%s\n' "$1" >>"$CASE/pratique.toml"; }
# cache_is FILTER: whether the cache's state, as `cache status --json` tells it, fits.
cache_is() {
  "$PRATIQUE" cache status --json --config "$CASE/pratique.toml" >"$CASE/cache.json" 2>>"$CASE/log" &&
    jq -e "$1" "$CASE/cache.json" >/dev/null
}
cache_must_be() { wait_until 10 cache_is "$1" || fail "the cache is not so: $1: $(jq -c . "$CASE/cache.json")"; }
pulls() { # WHAT PULL_FUNCTION REFERENCE
  rm -rf "$CASE/skopeo" "$CASE/crane.tar"
  "$2" "$3"
  succeeds "$1" "${PULL[@]}"
}
served_layer_of() { curl -fsS --max-time 30 "http://$MIRROR/v2/$1/manifests/$2?ns=up.test" | jq -r ".layers[$3].digest"; }
cached_file() { printf '%s/blobs/sha256/%s/%s' "$CASE/data" "$(cut -c8-9 <<<"$1")" "${1#sha256:}"; }

# More images than there is room for: all are served, the cache stays within its quota, what is pinned stays.
keeping_quota() {
  local pinned
  mirror_config general
  cache_settings $'quota = "8MB"\nmin_free = "0B"'
  mirror_start
  succeeds "prefetch --pin" "$PRATIQUE" prefetch --pin up.test/open/alpine:3.23 --config "$CASE/pratique.toml"
  pinned=$(served_layer_of open/alpine 3.23 1)
  pulls "first image" crane_pull open/zstd:1
  pulls "image of 60 layers" skopeo_pull open/many:60
  pulls "image of 60 layers again" crane_pull open/many:60
  pulls "first image again" skopeo_pull open/zstd:1
  cache_must_be '.bytes + .reserved_bytes <= 8000000 and .evicted.blobs > 0'
  [ -s "$(cached_file "$pinned")" ] || fail "a pinned layer gave way"
  # A layer of 96 MB has no place in 8 MB: it goes past, and the client's own check finds it right.
  pulls "image larger than the cache" skopeo_pull open/cut:1
  cache_must_be '.passed_through >= 1 and .bytes <= 8000000 and .reserved_bytes == 0'
  admin cache status
  note "$(sed -n '/^quota/p' "$CASE/said"), $(sed -n '/^evicted/p' "$CASE/said")"
}

# One bit of a layer flips on the disk: the scrub finds it and fetches the layer again.
keeping_scrub() {
  local layer file
  mirror_with general
  pulls "image" crane_pull open/alpine:3.23
  layer=$(served_layer_of open/alpine 3.23 1)
  file=$(cached_file "$layer")
  wait_until 10 test -s "$file" || fail "the layer is not cached"
  chmod 644 "$file"
  printf '\377' | dd of="$file" bs=1 seek=5 conv=notrunc status=none
  admin cache scrub
  [ "$STATUS" = 1 ] || fail "the scrub did not say that something was damaged: $(last_line)"
  grep -q '1 damaged and removed' "$CASE/said" || fail "the scrub found nothing: $(last_line)"
  cache_must_be '.damaged == 1 and .healed == 1'
  cmp -s "$file" "$FIXTURES/blobs/sha256/${layer#sha256:}" || [ "$(sha256sum <"$file" | cut -c1-64)" = "${layer#sha256:}" ] ||
    fail "the layer is not healed"
  admin cache scrub
  [ "$STATUS" = 0 ] || fail "the second scrub is not content: $(last_line)"
  grep -q 'all whole' "$CASE/said" || fail "the second scrub does not say so: $(last_line)"
}

# The disk fills up under the running mirror: what is cached goes on, and with room again so does the rest.
keeping_full_disk() {
  mirror_config general
  mkdir -p "$CASE/data"
  mount -t tmpfs -o size=24m tmpfs "$CASE/data"
  mirror_start
  pulls "image" crane_pull open/alpine:3.23
  wait_until 10 test -s "$(cached_file "$(served_layer_of open/alpine 3.23 1)")" || fail "nothing is cached"
  pulls "image larger than the disk" skopeo_pull open/cut:1
  cache_must_be '.passed_through >= 1'
  dd if=/dev/zero of="$CASE/data/ballast" bs=64k >/dev/null 2>&1 || true
  pulls "cached image on a full disk" skopeo_pull open/alpine:3.23
  skopeo_pull open/zstd:1
  rm -rf "$CASE/skopeo"
  attempt "${PULL[@]}"
  [ "$STATUS" = 0 ] || grep -Eq '503|[Uu]navailable|UNAVAILABLE' "$CASE/said" || fail "a full disk is told as something else: $(last_line)"
  kill -0 "$MIRROR_PID" || fail "a full disk ended the mirror"
  rm "$CASE/data/ballast"
  pulls "image with room again" skopeo_pull open/zstd:1
  wait_until 10 test -s "$(cached_file "$(served_layer_of open/zstd 1 1)")" || fail "nothing is cached any more"
}

register keeping-quota 120 keeping_quota
register keeping-scrub 90 keeping_scrub
register keeping-full-disk 120 keeping_full_disk
