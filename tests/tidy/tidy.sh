#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tidy.sh [--root DIR] [--list] [RULE...]
#
# Holds the tree to what a compiler does not see. Every finding is one line,
# FILE:LINE: RULE: what is wrong and what to do instead, and makes the exit
# status 1. A line that has to break a rule says so, with the reason:
#
#   some_call(); // tidy: allow RULE: because ...

# Rules are called by name.
# shellcheck disable=SC2317

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
if [[ ${1:-} == --root ]]; then
  root=$(cd "$2" && pwd -P)
  shift 2
fi
cd "$root"

# Findings of the rule that runs; a file, because rules run in pipes.
findings=$(mktemp)
trap 'rm -f "$findings"' EXIT

# -- what there is to look at --------------------------------------------------

# tracked NAME...: prints the files with such names (find's patterns) that
# belong to the tree, sorted, without what builds and runs leave in it.
tracked() {
  local names=() name
  for name in "$@"; do names+=(-o -name "$name"); done
  find . \( -path ./.git -o -path './build*' -o -path ./runs \
    -o -path ./.cache -o -path ./shared \) -prune \
    -o -type f \( "${names[@]:1}" \) -print | sed 's|^\./||' | sort
}

cpp() { tracked '*.hpp' '*.cpp' '*.cu' '*.cuh'; }
scripts() { tracked '*.sh' '*.cmake' '*.cmake.in' dev run; }
texts() {
  tracked '*.hpp' '*.cpp' '*.cu' '*.cuh' '*.sh' '*.cmake' '*.cmake.in' \
    CMakeLists.txt '*.md' '*.yaml' '*.json' dev run .clang-format .gitignore
}

# look RULE REGEX FIX: reports every line of the files on standard input that
# matches outside of a // comment. Set keep_comments=1 to look there as well.
look() {
  local rule=$1 regex=$2 fix=$3 file
  while IFS= read -r file; do
    awk -v rule="$rule" -v regex="$regex" -v fix="$fix" -v file="$file" \
      -v keep="${keep_comments:-0}" '
      index($0, "tidy: allow " rule) { next }
      {
        line = $0
        if (!keep) sub(/\/\/.*/, "", line)
        if (line ~ regex) printf "%s:%d: %s: %s\n", file, NR, rule, fix
      }' "$file" >>"$findings"
  done
}

# -- rules ---------------------------------------------------------------------

rule_message_types() {
  cpp | grep -vE '^(actors/protocol|tests)/' | look message_types \
    'add_message_type|CAF_(ADD|BEGIN|END)_TYPE_ID|CAF_ADD_ATOM' \
    'messages are registered in actors/protocol/, where floats are refused'
}

rule_timeouts() {
  cpp | grep -v '^actors/call/' | look timeouts \
    'caf::infinite|[(, ]infinite *[,)]' \
    'a wait without end; pass a deadline through actors/call/'
}

rule_sleeps() {
  cpp | look sleeps \
    '(^|[^[:alnum:]_])(sleep_for|sleep_until|usleep|nanosleep|sleep) *[(]' \
    'wait for the event with a deadline instead of sleeping'
}

rule_caf_all() {
  { cpp | grep '\.hpp$' || true; } | look caf_all \
    '#include [<"]caf/(io/)?all\.hpp' \
    'costs every includer seconds; include the headers that are used'
}

rule_torch() {
  cpp | grep -Ev '^(apps/torch/|tests/apps/|tests/install/torch_user/)' |
    grep -Ev '^apps/.*\.cpp$' | look torch \
    '#include [<"](torch|ATen|c10|caffe2)/' \
    'libtorch stops at apps/torch/ and the sources of applications'
}

# What a user's module includes. Neither these headers nor anything that they
# include may know CAF, so that a module compiles fast.
module_api=(module worker_context parameter_list)

# Reads paths, prints them and every header of ours that they include, however
# deeply.
with_includes() {
  local -A seen=()
  local -a queue
  mapfile -t queue
  local file
  while ((${#queue[@]})); do
    file=${queue[0]}
    queue=("${queue[@]:1}")
    [[ -n ${seen[$file]:-} || ! -f $file ]] && continue
    seen[$file]=1
    printf '%s\n' "$file"
    mapfile -t -O ${#queue[@]} queue < <(
      sed -n 's|^#include "troupe/\(.*\)".*|\1|p' "$file")
  done
}

rule_caf() {
  {
    cpp | grep -E '^(core|planner|comm|actors/(checkpoint|process|config|net))/' || true
    printf 'actors/model/%s.hpp\n' "${module_api[@]}" | with_includes
  } | sort -u | look caf '#include [<"]caf/|(^|[^[:alnum:]_])caf::' \
    'no CAF here or in what a module includes; move it to a file of its own'
}

# layer FOLDER ROOM...: the rooms that FOLDER may include.
layer() {
  local folder=$1 allowed
  shift
  allowed=$(IFS='|' && echo "$*")
  { cpp | grep "^$folder/" || true; } | while IFS= read -r file; do
    grep -nE '#include [<"]troupe/' "$file" |
      grep -vE "#include [<\"]troupe/($allowed)/|tidy: allow layering" |
      sed "s|^\\([0-9]*\\):.*|$file:\\1: layering: $folder/ may include only: \
${*}|" || true
  done >>"$findings"
}

rule_layering() {
  layer core core
  layer planner core planner
  layer comm core comm
  layer actors core planner comm actors
  layer apps core planner comm actors apps
}

rule_includes() {
  local file
  cpp | grep -v '^tests/' | while IFS= read -r file; do
    grep -nE '#include "' "$file" |
      grep -vE '#include "(troupe|caf)/|tidy: allow includes' |
      sed "s|^\\([0-9]*\\):.*|$file:\\1: includes: write \
\"troupe/ROOM/FILE.hpp\" for ours and <...> for others|" || true
  done >>"$findings"
}

rule_own_header() {
  local file header first
  cpp | { grep '\.cpp$' || true; } | while IFS= read -r file; do
    header=${file%.cpp}.hpp
    [[ -f $header ]] || continue
    [[ $file == tests/* ]] && header=${header#tests/} || header=troupe/$header
    first=$(grep -nm1 '#include' "$file" || true)
    [[ $first == *"\"$header\"" ]] ||
      echo "$file:${first%%:*}: own_header: include \"$header\" first, so \
that it is seen to need nothing before it"
  done >>"$findings"
}

rule_using() {
  { cpp | grep '\.hpp$' || true; } | look using '^ *using namespace ' \
    'forces the namespace on every includer; name what is used'
}

rule_length() {
  local file lines
  { cpp && scripts; } | while IFS= read -r file; do
    lines=$(wc -l <"$file")
    ((lines <= 600)) ||
      echo "$file:$lines: length: more than 600 lines; split it by subject"
  done >>"$findings"
}

rule_license() {
  local file
  { cpp && scripts; } | while IFS= read -r file; do
    awk 'NR == 1 && /^#!/ { next } { print; exit }' "$file" |
      grep -q 'SPDX-License-Identifier: Apache-2.0' ||
      echo "$file:1: license: begin with 'SPDX-License-Identifier: Apache-2.0'"
  done >>"$findings"
}

rule_blanks() {
  keep_comments=1
  texts | look blanks $'\t|[ \r]$' \
    'no tabs, blanks at the end of a line, or carriage returns'
  local file
  texts | while IFS= read -r file; do
    [[ ! -s $file || -z $(tail -c 1 "$file") ]] ||
      echo "$file:$(wc -l <"$file"): blanks: end the last line"
  done >>"$findings"
}

rule_unfinished() {
  keep_comments=1
  # In brackets, so that the rule does not find itself.
  texts | look unfinished \
    '(^|[^[:alnum:]_])([F]IXME|[T]ODO|[X]XX)($|[^[:alnum:]_])' \
    'finish it, or describe what is missing where a reader looks for it'
}

rule_paths() {
  keep_comments=1
  texts | look paths '(^|[^[:alnum:]_.}])/([w]ork|[h]ome|[U]sers)/[a-zA-Z]' \
    'the path of one machine; take it from the environment or an argument'
}

rule_readmes() {
  local folder
  { cpp | grep -E '^(core|planner|comm|actors|apps|bench)/' || true; } |
    sed 's|/[^/]*$||' | sort -u | while IFS= read -r folder; do
    [[ -f $folder/README.md ]] ||
      echo "$folder:1: readmes: add README.md: purpose, objects, threads, one \
picture"
  done >>"$findings"
}

# A test that no CMakeLists.txt names is never run and never missed.
rule_listed() {
  local file folder
  { cpp | grep -E '\.(cpp|cu)$' || true; } | while IFS= read -r file; do
    folder=$(dirname "$file")
    while true; do
      if [[ -f $folder/CMakeLists.txt ]] &&
        grep -qF -- "${file#"$folder"/}" "$folder/CMakeLists.txt"; then
        continue 2
      fi
      [[ $folder == . ]] && break
      folder=$(dirname "$folder")
    done
    # Named from elsewhere by its full path.
    grep -rqF --include=CMakeLists.txt --include='*.cmake' "$file" \
      cmake ./*/ 2>/dev/null ||
      echo "$file:1: listed: no CMakeLists.txt above it names it, so it is \
not built"
  done >>"$findings"
}

# What a page tells the reader to type or to open exists.
rule_pages() {
  local page verbs
  verbs=$(sed -n 's/^verbs=(\(.*\))$/\1/p' dev 2>/dev/null || true)
  tracked '*.md' | while IFS= read -r page; do
    grep -noE '\./dev [a-z]+' "$page" | while IFS=: read -r line text; do
      [[ " $verbs " == *" ${text#./dev } "* ]] ||
        echo "$page:$line: pages: '$text' is no verb of ./dev"
    done || true
    # Up to the bracket or the anchor: `[](type& x) {` is a lambda, no link.
    grep -noE '\]\([^)#: ]+[)#]' "$page" | while IFS=: read -r line text; do
      text=${text#*\(} text=${text%[)#]}
      [[ -e $(dirname "$page")/$text ]] ||
        echo "$page:$line: pages: the link leads to no file: $text"
    done || true
    grep -noE 'build/bin/[a-z_0-9]+' "$page" |
      while IFS=: read -r line text; do
        text=${text#build/bin/}
        grep -rqwsF --include=CMakeLists.txt "$text" ./*/ ||
          [[ -f tests/${text#test_}/CMakeLists.txt ]] ||
          echo "$page:$line: pages: nothing builds build/bin/$text"
      done || true
    # shellcheck disable=SC2016 # backquotes, not a command
    grep -noE '`[a-z_]+(/[a-zA-Z0-9_.-]+)+\.(yaml|md|hpp|cpp|cmake|sh)`' \
      "$page" | while IFS=: read -r line text; do
      text=${text//\`/}
      [[ $text == runs/* || $text == build/* || $text == *ROOM* || -e $text ||
        -e $(dirname "$page")/$text || -e ${text#troupe/} ]] ||
        echo "$page:$line: pages: there is no file $text"
    done || true
  done >>"$findings"
}

# -- main ----------------------------------------------------------------------

mapfile -t rules < <(declare -F | sed -n 's/^declare -f rule_//p')
if [[ ${1:-} == --list ]]; then
  printf '%s\n' "${rules[@]}"
  exit
fi
(($#)) || set -- "${rules[@]}"

status=0
for rule in "$@"; do
  if ! declare -F "rule_$rule" >/dev/null; then
    echo "tidy: no rule is called '$rule' (see tidy.sh --list)" >&2
    exit 2
  fi
  : >"$findings"
  keep_comments=0
  "rule_$rule"
  if [[ -s $findings ]]; then
    cat "$findings"
    status=1
  else
    echo "$rule: nothing found"
  fi
done
exit "$status"
