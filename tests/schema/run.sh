#!/bin/bash
# The schema of policies, read by a validator of others: python's jsonschema.
#
#   tests/schema/run.sh [--no-install]
#   RIG=DIRECTORY   scratch directory, default /var/tmp/pratique-rig
#
# Every policy in the documents must fit, and what is broken in one place must not. That the keys and words are
# those of the parser is the unit tests' to show. Needs python3 with venv, and an index of Python packages unless
# they are there already. No root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RIG=${RIG:-/var/tmp/pratique-rig}
tools=$RIG/schema-tools
mkdir -p "$RIG"
if [ "${1:-}" != --no-install ] && [ ! -e "$tools/.done" ]; then
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/pip" --quiet --disable-pip-version-check install jsonschema==4.25.1 PyYAML==6.0.3
  touch "$tools/.done"
fi
[ -x "$tools/bin/python" ] || { echo "no tools in $tools" >&2; exit 2; }
"$tools/bin/python" "$here/validate.py" "$here/../.."
