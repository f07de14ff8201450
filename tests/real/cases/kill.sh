# kill -9 in the middle of pulls and approvals, fifty times.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

killed_fifty_times() {
  # The slow link keeps pulls on their way when the kill comes.
  start_link $UPSTREAM_LINK_PORT $UPSTREAM_PORT --rate 8000000
  mirror_config general $UPSTREAM_LINK_PORT
  timeout -k 5 500 "$PYTHON" "$HERE/tools/kill_loop.py" --pratique "$PRATIQUE" --config "$CASE/pratique.toml" --mirror "$MIRROR" \
    --fixtures "$FIXTURES" --rounds "${KILL_ROUNDS:-50}" >"$CASE/said" 2>&1 </dev/null || fail "$(last_line)"
  note "$(last_line)"
}

register kill-fifty-times 540 killed_fifty_times
