#!/bin/sh
# Mutation testing of the code that decides. What it found, and which survivors are left and why:
# tests/MUTANTS.md.
set -eu

usage() {
    cat <<'TEXT'
usage: tests/mutants.sh [--list] [PART|FILE]...

Changes the deciding code in one place after the other (cargo-mutants), and runs the unit tests of
the modules that decide against each change. A change that no test notices is a survivor.

  PART    gate, policy or signature; all three when nothing is named
  FILE    a source file below src/

  --list  prints the changes that would be tried, and tries none
  --help  this

It works on a copy of the tree, whose report is mutants.out/ in the directory of the crate: missed.txt has the
survivors. Each change costs 25 to 60 seconds on two cores, most of it for compiling: gate alone
(about 350) takes 3 to 5 hours, everything (about 900) a night. A single file takes minutes.

Needs cargo-mutants: cargo install cargo-mutants --locked
TEXT
}

cd "$(dirname "$0")/.."

gate='decide distinct verdict checks signatures attestations/mod children/mod continuity/mod condition
    standing by_name ready evidence'
policy='query pattern'
signature='identity logs key signer root authorities simple_signing contents
    notation/name notation/chain notation/store notation/revocation'

files=''
add() { # FOLDER NAMES
    for name in $2; do files="$files --file src/$1/$name.rs"; done
}

list=''
for argument in "$@"; do
    case "$argument" in
        --help | -h) usage; exit 0 ;;
        --list) list='--list' ;;
        gate) add gate "$gate" ;;
        policy) add policy "$policy" ;;
        signature) add signature "$signature" ;;
        src/*.rs) files="$files --file $argument" ;;
        *) usage >&2; exit 64 ;;
    esac
done
if [ -z "$files" ]; then
    add gate "$gate"
    add policy "$policy"
    add signature "$signature"
fi

# Words are meant to be split; no name has a space in it.
# shellcheck disable=SC2086
exec cargo mutants $list $files --package pratique --no-shuffle --timeout 300 \
    --build-timeout 900 -- --lib --locked -- oci:: policy:: signature:: gate::
