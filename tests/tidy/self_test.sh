#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a small tree that breaks every rule of tidy.sh once, on a known line,
# and requires each rule to name that line and nothing else; then mends it by
# `tidy: allow` where a rule takes that.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree"

license='// SPDX-License-Identifier: Apache-2.0'

# put FILE LINE...: a file that passes every rule but for the lines given.
put() {
  local file=$1
  shift
  mkdir -p "$(dirname "$file")"
  printf '%s\n' "$@" >"$file"
  [[ $file == tests/* ]] || echo "# room" >"$(dirname "$file")/README.md"
}

echo "verbs=(run test)" >dev
sed -i '1i # SPDX-License-Identifier: Apache-2.0' dev

failures=0

# expect RULE PLACE: the rule finds exactly one thing, and there.
expect() {
  local rule=$1 place=$2 output count
  output=$(bash "$here/tidy.sh" --root "$tree" "$rule" || true)
  count=$(wc -l <<<"$output")
  if [[ $count != 1 || $output != "$place: $rule: "* ]]; then
    echo "rule $rule should have found $place, and said:" >&2
    echo "$output" >&2
    failures=$((failures + 1))
  fi
}

# silent RULE: the rule finds nothing.
silent() {
  if ! bash "$here/tidy.sh" --root "$tree" "$1" >/dev/null; then
    echo "rule $1 should have found nothing" >&2
    failures=$((failures + 1))
  fi
}

clear_tree() { rm -rf core comm actors apps tests CMakeLists.txt README.md; }

# case RULE FILE LINE...: the last line is the one that breaks the rule.
broken() {
  local rule=$1 file=$2
  shift 2
  clear_tree
  put "$file" "$@"
  expect "$rule" "$file:$#"
  # Allowed by name, with a reason, it is silent.
  sed -i "\$ s|\$| // tidy: allow $rule: a reason|" "$file"
  silent "$rule"
}

broken message_types actors/call/a.cpp "$license" \
  'add_message_type<int>("int");'
broken timeouts actors/model/a.cpp "$license" \
  'self->request(x, caf::infinite, 1);'
broken timeouts tests/actors/a.cpp "$license" 'self->request(x, infinite, 1);'
broken sleeps tests/core/a.cpp "$license" '// sleep(1) in words is fine' \
  'std::this_thread::sleep_for(x);'
broken caf_all actors/node.hpp "$license" '#include <caf/all.hpp>'
broken torch actors/node.cpp "$license" '#include <torch/torch.h>'
broken torch apps/grpo/policy.hpp "$license" '#include <torch/torch.h>'
broken caf comm/a.hpp "$license" '#include <caf/actor.hpp>'
broken caf actors/process/a.cpp "$license" 'caf::actor x;'
broken caf actors/net/a.cpp "$license" 'caf::actor x;'
broken layering core/a.cpp "$license" '#include "troupe/core/b.hpp"' \
  '#include "troupe/comm/b.hpp"'
broken layering comm/a.cpp "$license" '#include "troupe/planner/b.hpp"'
broken includes core/a.cpp "$license" '#include "b.hpp"'
broken using core/a.hpp "$license" 'using namespace std;'
broken unfinished core/a.cpp "$license" "// TO""DO: the rest"
broken paths core/a.cpp "$license" "auto file = \"/ho""me/somebody/x\";"
broken blanks core/a.cpp "$license" $'\tint x;'

clear_tree
put apps/grpo/policy.cpp "$license" '#include <torch/torch.h>'
put actors/protocol/a.cpp "$license" 'add_message_type<int>("int");'
put actors/call/a.cpp "$license" 'self->request(x, caf::infinite, 1);'
silent torch
silent message_types
silent timeouts

clear_tree
put actors/model/module.hpp "$license" '#include "troupe/actors/call/a.hpp"'
put actors/model/worker.hpp "$license" '#include <caf/actor.hpp>'
put actors/call/a.hpp "$license" '#include <vector>'
silent caf
put actors/call/a.hpp "$license" '#include "troupe/actors/call/b.hpp"'
put actors/call/b.hpp "$license" '#include <caf/actor.hpp>'
expect caf actors/call/b.hpp:2

clear_tree
put core/a.hpp "$license"
put core/a.cpp "$license" '#include <string>' '#include "troupe/core/a.hpp"'
expect own_header core/a.cpp:2
put core/CMakeLists.txt 'add_library(core b.cpp)'
expect listed core/a.cpp:1
put core/CMakeLists.txt 'add_library(core a.cpp)'
silent listed
rm core/README.md
expect readmes core:1

clear_tree
put core/a.cpp 'int x;'
expect license core/a.cpp:1
put core/a.cpp "$license" "$(yes '//' | head -n 600)"
expect length core/a.cpp:601

clear_tree
printf '%s\n' "\`./dev run\`" "\`./dev fly\`" >README.md
expect pages README.md:2
echo 'build/bin/no_such_program' >README.md
expect pages README.md:1
echo 'see [this](docs/none.md)' >README.md
expect pages README.md:1

((failures == 0)) || exit 1
echo "every rule finds what it is for"
