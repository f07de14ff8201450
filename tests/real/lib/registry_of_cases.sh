# The list of cases: each file under cases/ registers its own. Sourced.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing
case_names=()
declare -A case_command case_limit
# register NAME SECONDS FUNCTION [ARGUMENTS...]
register() {
  case_names+=("$1")
  case_limit[$1]=$2
  case_command[$1]="${*:3}"
}
for file in "$HERE"/cases/*.sh; do source "$file"; done
