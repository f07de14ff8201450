#!/bin/bash
# Runs one case in a process of its own: one_case.sh NAME. Exit: 0 ok, 77 skipped, else failed; why in $CASE/why.
# shellcheck disable=SC2154 # names shared by sourcing
source "$(dirname "$0")/common.sh"
source "$HERE/lib/services.sh"
source "$HERE/lib/registry_of_cases.sh"
NAME=$1
CASE=$RUN/cases/$NAME
rm -rf "$CASE"
mkdir -p "$CASE"
: >"$CASE/log"
: >"$CASE/said"
# A command whose failure no check explains: name it.
trap 'status=$?; [ -s "$CASE/why" ] || printf "%s (line %s of %s)\n" "$BASH_COMMAND" "$LINENO" "${BASH_SOURCE[0]##*/}" >"$CASE/why"; exit $status' ERR
set -E
finish() {
  local status=$?
  trap - ERR
  set +e
  stop_all >/dev/null 2>&1
  awk -v dir="$CASE/" 'index($2, dir) == 1 {print $2}' /proc/mounts | sort -r | while read -r path; do umount -q "$path"; done
  [ ! -s "$CASE/mounts" ] || while read -r path; do umount -q -l "$path"; done <"$CASE/mounts"
  [ "$status" = 0 ] || [ "$status" = 77 ] || tail -40 "$CASE/log" >"$CASE/tail"
  rm -rf "$CASE/node" "$CASE/data" "$CASE/docker" "$CASE/podman"
  [ ! -s "$CASE/short" ] || rm -rf "$(cat "$CASE/short")"
  exit $status
}
trap finish EXIT
canary_mark
upstream_mark
read -r -a command <<<"${case_command[$NAME]}"
"${command[@]}"
[ -e "$CASE/fallback-expected" ] || canary_is_silent
