#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# no_gpu_test.sh PROGRAM: what a benchmark says of --devices where there is no
# GPU, and of devices that are none.
set -uo pipefail
# shellcheck source=tests/support/complain.sh
source "$(dirname "${BASH_SOURCE[0]}")/../support/complain.sh"

program=$1

# ends CODE DEVICES WORDS: says so on standard error alone.
ends() {
  local expected=$1 devices=$2 words=$3 code=0
  timeout 20 "$program" --quick --devices "$devices" --json "$work/x.json" \
    >"$work/out" 2>"$work/err" || code=$?
  ((code == expected)) || complain "$devices: exit code $code"
  [[ ! -s $work/out ]] || complain "$devices: prints $(head -n 2 "$work/out")"
  [[ ! -s $work/x.json ]] || complain "$devices: writes figures"
  grep -qF -- "$words" "$work/err" || complain "$devices: $(cat "$work/err")"
}

for devices in cpu cuda: cuda:-1 cuda:x cuda:0,1 cudax ''; do
  ends 2 "$devices" 'cuda:N'
done

# Hides those that there are.
export CUDA_VISIBLE_DEVICES=
for devices in cuda cuda:1; do
  ends 1 "$devices" 'unavailable: '
  (($(wc -l <"$work/err") == 1)) || complain "$devices: $(cat "$work/err")"
done

conclude
