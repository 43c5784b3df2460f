#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# bad_input_test.sh PROGRAM: a benchmark's help, and wrong input, which must be
# refused before anything is measured.
set -uo pipefail
# shellcheck source=tests/support/complain.sh
source "$(dirname "${BASH_SOURCE[0]}")/../support/complain.sh"

program=$1

# refused NAME WORDS ARGUMENTS...: must end with 2, print nothing but a
# complaint that holds the words.
refused() {
  local name=$1 words=$2 code=0
  shift 2
  timeout 5 "$program" "$@" >"$work/out" 2>"$work/err" || code=$?
  ((code == 2)) || complain "$name: exit code $code instead of 2"
  [[ ! -s $work/out ]] || complain "$name: prints $(head -n 2 "$work/out")"
  grep -qF -- "$words" "$work/err" || complain "$name: $(cat "$work/err")"
}

refused 'an unknown option' --wibble --wibble
refused 'a file in the kernel' 'choose another place with --json' --quick \
  --json /proc/x.json
refused 'a file in no folder' 'choose another place with --json' --quick \
  --json "$work/none/x.json"
refused 'a folder' 'choose another place with --json' --quick --json "$work"
refused 'no file' 'must not be empty' --quick --json ''

"$program" --help >"$work/help" || complain 'help: no exit code 0'
grep -q '^Examples:' "$work/help" || complain 'help: no examples'

conclude
