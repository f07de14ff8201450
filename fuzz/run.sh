#!/bin/bash
# Fuzzes one target after the other: fuzz/run.sh [SECONDS [TARGET...]]
#
#   PRATIQUE_FUZZ_LOGS=DIRECTORY   one log per target (default: fuzz/artifacts)
#   PRATIQUE_FUZZ_MODE=dev         without optimisation: half the time to build
#
# Needs cargo-fuzz (cargo install --locked cargo-fuzz) and a C++ compiler. Ends with status 1 when a target
# found something; the input is then in fuzz/artifacts/TARGET, and `cargo fuzz run TARGET INPUT` repeats it.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
shift || true
# The sanitizers are of nightly; nothing else here is.
export RUSTC_BOOTSTRAP=1
# Rows and backups are written for every input: a disk would be all that is measured.
[ -d /dev/shm ] && [ -w /dev/shm ] && export TMPDIR=/dev/shm
logs=${PRATIQUE_FUZZ_LOGS:-fuzz/artifacts}
mkdir -p "$logs"

if [ $# = 0 ]; then mapfile -t targets < <(cargo fuzz list); else targets=("$@"); fi
found=()
for target in "${targets[@]}"; do
  mkdir -p "fuzz/corpus/$target"
  # No search for leaks: threads that are about to end are taken for some.
  options=(-max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 -print_final_stats=1 -detect_leaks=0)
  # A text format: without words of it, hardly any input gets past the first byte.
  [ -e "fuzz/words/$target" ] && options+=(-dict="fuzz/words/$target")
  if ! cargo fuzz run ${PRATIQUE_FUZZ_MODE:+--$PRATIQUE_FUZZ_MODE} "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" \
    -- "${options[@]}" >"$logs/$target.log" 2>&1; then found+=("$target"); fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target.log")
  printf '%-10s %s runs in %s s%s\n' "$target" "${runs:-?}" "$seconds" \
    "$([[ " ${found[*]} " == *" $target "* ]] && echo ", FOUND SOMETHING: $logs/$target.log")"
  rm -rf "${TMPDIR:-/tmp}"/pratique-fuzz-*
done
[ ${#found[@]} = 0 ]
