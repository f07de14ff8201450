#!/bin/bash
# The order of versions against the tools whose order it is: dpkg, rpm, Python's packaging, RubyGems, Composer, Maven,
# npm's semver, Go. For NuGet, whose own code Debian does not have, against the rules that OSV has for it; for apk by the
# test data of apk-tools, where a checkout of it is at hand. And CVSS base scores against Red Hat's library.
#
#   tests/versions/run.sh [OPTIONS]
#     --seed N        other pairs than those of seed 1
#     --count N       pairs of each scheme, default 3000; those that a tool calls no versions are not compared
#     --no-install    the tools are there already
#   RIG=DIRECTORY        scratch directory, shared with tests/real, default /var/tmp/pratique-rig
#   APK_TOOLS=DIRECTORY  a checkout of apk-tools
#
# Each difference is printed with its pair. Needs root on Debian bookworm to install what is missing; what bookworm has
# too old is unpacked beside the system, under $RIG/versions.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
RIG=${RIG:-/var/tmp/pratique-rig}
seed=1 count=3000 install=yes
while [ $# -gt 0 ]; do
  case $1 in
    --seed) seed=${2:?--seed N}; shift ;;
    --count) count=${2:?--count N}; shift ;;
    --no-install) install=no ;;
    --help | -h) sed -n '2,/^set -/p' "$0" | sed '/^set -/d; s/^# \{0,1\}//'; exit 0 ;;
    *) echo "unknown option $1; --help tells which there are" >&2; exit 64 ;;
  esac
  shift
done
mkdir -p "$RIG/versions"
RIG=$(cd "$RIG" && pwd)
TOOLS=$RIG/versions
exec 8>"$RIG/.versions.lock"
flock -n 8 || { echo "another run uses $TOOLS" >&2; exit 2; }
[ $install = no ] || TOOLS=$TOOLS "$HERE/install.sh"

# --- pairs, and what the tools say of them --------------------------------------------------------------
export PYTHONDONTWRITEBYTECODE=1
python=/usr/bin/python3 # Debian's own, which has rpm and packaging
$python "$HERE/generate.py" "$TOOLS/pairs" "$seed" "$count"
ask() { # SCHEME COMMAND...: the tool's answers, after the scheme's name
  local scheme=$1
  shift
  timeout 600 "$@" <"$TOOLS/pairs/$scheme.tsv" | sed "s/^/$scheme\t/"
}
{
  ask cargo node "$HERE/tools/compare.js" "$TOOLS"
  ask composer php "$HERE/tools/compare.php" "$TOOLS/composer/usr/share/php/Composer/Semver/autoload.php"
  ask deb $python "$HERE/tools/compare.py" deb
  ask gem ruby "$HERE/tools/compare.rb"
  ask go "$TOOLS/compare-go"
  ask maven $python "$HERE/tools/maven.py" "$TOOLS/maven/usr/share/java/maven-artifact-3.x.jar"
  ask npm node "$HERE/tools/compare.js" "$TOOLS"
  ask nuget env PYTHONPATH="$TOOLS/univers" $python "$HERE/tools/compare.py" nuget
  ask python $python "$HERE/tools/compare.py" python
  ask rpm $python "$HERE/tools/compare.py" rpm
} >"$TOOLS/answers.tsv"
PYTHONPATH=$TOOLS/cvss timeout 600 $python "$HERE/tools/cvss_scores.py" "$seed" 20000 >"$TOOLS/scores.tsv"
if [ -n "${APK_TOOLS:-}" ]; then
  $python "$HERE/tools/apk.py" "$APK_TOOLS" >>"$TOOLS/answers.tsv"
else
  echo "apk: skipped, APK_TOOLS names no checkout of apk-tools"
fi

# --- what we say ----------------------------------------------------------------------------------------
cd "$PROJECT"
export PRATIQUE_VERSION_PAIRS=$TOOLS/answers.tsv PRATIQUE_CVSS_SCORES=$TOOLS/scores.tsv
timeout 3600 cargo test --quiet --locked --lib -- --nocapture scan::version::tests::native scan::cvss::tests::scores_are_those
