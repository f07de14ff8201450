# Approvals that people sign in files and push to git; the mirror reads a checkout.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

# in_git FOLDER COMMAND...: git as somebody who has no settings here.
in_git() {
  git -C "$1" -c user.name=suite -c user.email=suite@example.test -c commit.gpgsign=false "${@:2}" >>"$CASE/log" 2>&1
}
# say_yes NAME: NAME signs the draft with a key of their own and pushes the file; the checkout follows.
say_yes() {
  succeeds "$1 signs" "$PRATIQUE" approval sign "$CASE/draft.json" --key "$CASE/$1.pem" --as "$1" --reason "reviewed by $1" \
    -o "$CASE/author/approvals/curl-$1.json"
  in_git "$CASE/author" add approvals
  in_git "$CASE/author" commit -m "curl: reviewed by $1"
  follow_origin
}
follow_origin() {
  in_git "$CASE/author" push origin HEAD
  in_git "$CASE/checkout" pull --ff-only
}
approvals_setup() {
  local name
  command -v git >/dev/null || skip "no git"
  mirror_config general
  for name in alice bob; do
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$CASE/$name.pem" 2>>"$CASE/log"
    openssl pkey -in "$CASE/$name.pem" -pubout -out "$CASE/$name.pub" 2>>"$CASE/log"
  done
  cat >"$CASE/policy.yaml" <<YAML
apiVersion: pratique.dev/v1
kind: Policy
metadata: {name: from-git, revision: 1}
signers:
  alice: {key: {pem: "file:$CASE/alice.pub"}, transparencyLog: none}
  bob: {key: {pem: "file:$CASE/bob.pub"}, transparencyLog: none}
approvalPolicies:
  four-eyes: {approvers: ["signer:alice", "signer:bob"], quorum: 2}
rules:
- {id: asked, match: ["up.test/asked/**"], trust: approve, approval: {policy: four-eyes}}
YAML
  git init -q --bare -b main "$CASE/origin.git"
  git clone -q "$CASE/origin.git" "$CASE/author" 2>>"$CASE/log"
  mkdir "$CASE/author/approvals"
  printf 'One file for each yes.\n' >"$CASE/author/approvals/README.md"
  in_git "$CASE/author" checkout -b main || true
  in_git "$CASE/author" add approvals
  in_git "$CASE/author" commit -m "a place for approvals"
  in_git "$CASE/author" push origin HEAD:main
  git clone -q -b main "$CASE/origin.git" "$CASE/checkout" 2>>"$CASE/log"
  printf '\n[approvals]\npath = "%s"\n' "$CASE/checkout/approvals" >>"$CASE/pratique.toml"
}
# serves IMAGE: a pull by ctr works by now
serves() {
  pull_command ctr "$1"
  timeout -k 5 "$CLIENT_LIMIT" "${PULL[@]}" >"$CASE/said" 2>&1 </dev/null
}
serves_not() { ! serves "$1" && grep -Eq "$PENDING" "$CASE/said"; }

approvals_from_git() {
  local image=up.test/asked/curl:1
  approvals_setup
  mirror_start
  closed_hosts "$CASE/hosts"
  node_start 2 "$CASE/hosts"
  pull_refused ctr "$image" "$PENDING"
  admin approval draft "$(request_id)" -o "$CASE/draft.json"
  [ "$STATUS" = 0 ] || fail "draft: $(last_line)"

  say_yes alice
  succeeds "verify" "$PRATIQUE" approval verify "$CASE/author/approvals/curl-alice.json" --policy "$CASE/policy.yaml"
  wait_until 20 file_counts curl-alice.json || fail "the file of alice does not count: $(last_line)"
  pull_refused ctr "$image" "$PENDING"
  say_yes bob
  wait_until 20 serves "$image" || fail "two signed, and it is not served: $(last_line)"
  note "served by two signatures from git"

  # One takes hers back: the approval rests on it.
  in_git "$CASE/author" rm approvals/curl-alice.json
  in_git "$CASE/author" commit -m "curl: not so sure any more"
  follow_origin
  wait_until 30 serves_not "$image" || fail "a file is gone, and it is served still: $(last_line)"
  note "$(last_line)"

  # The folder itself goes: nothing is taken back, and nothing counts anew.
  mv "$CASE/checkout" "$CASE/elsewhere"
  wait_until 20 files_are_held || fail "it is not told that the folder is gone: $(last_line)"
  mv "$CASE/elsewhere" "$CASE/checkout"
  admin audit verify
  [ "$STATUS" = 0 ] || fail "audit verify: $(last_line)"
}
file_counts() {
  admin approval ls --json
  jq -e --arg file "$1" '.files[] | select(.file == $file and .state == "counts")' "$CASE/said"
}
files_are_held() {
  admin approval ls --json
  jq -e '.held != null' "$CASE/said"
}

register approvals-from-git 180 approvals_from_git
