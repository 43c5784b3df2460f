#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# program_test.sh GOLDEN_CHECK ROOT: what the program says of files that it
# cannot read, of its use, and of cases with tags.
set -uo pipefail
# shellcheck source=tests/support/complain.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../support/complain.sh"

program=$1
root=$2
golden=$root/tests/golden

# run CODE NAME ARGUMENTS...: must end with CODE and the line that counts.
run() {
  local expected=$1 name=$2 code=0
  shift 2
  "$program" "$@" >"$work/out" 2>"$work/err" || code=$?
  ((code == expected)) || complain "$name: exit code $code, not $expected"
  tail -n 1 "$work/out" |
    grep -qE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' ||
    complain "$name: the last line does not count: $(tail -n 1 "$work/out")"
}

# What cannot be read does not keep the others from being read.
mkdir "$work/folder"
touch "$work/empty"
printf '{"set": 1}' >"$work/no_set"
for bad in folder empty no_set none; do
  run 2 "$bad alone" "$work/$bad"
  grep -qF "$work/$bad: " "$work/err" || complain "$bad: $(cat "$work/err")"
  run 2 "$bad among good files" "$golden/ports.json" "$work/$bad" \
    "$golden/sched.json"
  grep -q '^ports ' "$work/out" || complain "$bad: the file before it"
  grep -q '^sched ' "$work/out" || complain "$bad: the file after it"
done
run 2 'a folder' "$work/folder"
grep -q 'directory' "$work/err" || complain "a folder: $(cat "$work/err")"

# What the help shows can be done.
"$program" --help >"$work/help" || complain 'help: no exit code 0'
sed -n '/^Examples:/,$p' "$work/help" | grep -E '^ *golden_check ' \
  >"$work/examples"
count=0
while read -r _ example; do
  count=$((count + 1))
  cd "$root" || exit 1
  # The shell expands the pattern, as it would for a person.
  # shellcheck disable=SC2086
  run 0 "the help's example $example" $example
  cd "$OLDPWD" || exit 1
done <"$work/examples"
((count > 0)) || complain 'help: no examples'

# With tags every case is judged by a verifier instead of by what is recorded;
# ours are sound. One case a line.
for set in config ports lbrank sched split_groups total_gpu bucket; do
  sed 's/^{"id":"[^"]*",/&"tags":["any"],/' "$golden/$set.json" \
    >"$work/$set.json"
  grep -q '"tags":\["any"\]' "$work/$set.json" || complain "$set: no tags"
  run 0 "$set with tags" "$work/$set.json"
  grep -q ' 0 failed, 0 skipped$' "$work/out" ||
    complain "$set with tags: $(cat "$work/out")"
done

conclude
