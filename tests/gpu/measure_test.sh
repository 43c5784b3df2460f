#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What measure.sh makes of programs that pass, fail, are skipped or hang, with
# scripts in place of the programs: no GPU is needed.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/support/complain.sh
source "$here/../support/complain.sh"
cd "$work" || exit 1

# program NAME: makes a program of what is read.
program() {
  {
    echo '#!/bin/sh'
    cat
  } >"build/bin/$1"
  chmod +x "build/bin/$1"
}

# measure EXIT_CODE WORD...: runs it so; `output` is what it says.
measure() {
  local expected=$1 status=0
  shift
  output=$(bash "$here/measure.sh" "$@" 2>&1) || status=$?
  ((status == expected)) ||
    complain "measure.sh $* ended with $status, not $expected:"$'\n'"$output"
}

says() { [[ $output == *"$1"* ]] || complain "'$1' is missing in: $output"; }

row() {
  grep -qE "^\| $1 \| $2 \| [0-9]* ?\| .*$3" out/report.md ||
    complain "no row '$1: $2, $3' in: $(cat out/report.md)"
}

mkdir -p build/bin
programs=(test_comm_cuda_gpu test_comm_nccl_gpu test_comm_devices_gpu
  test_comm_devices_gpu_executor bench_sync troupe)

# -- without a device ----------------------------------------------------------

for x in "${programs[@]}"; do
  program "$x" <<<'echo "skipped: there is no device"; exit 77'
done
program troupe <<'END'
echo "troupe: --devices cuda: no GPU can be used: there is none"
exit 2
END
measure 77 build out
for step in kernel ranks syncs executor bench sanitizer conformance faults; do
  row "$step" skipped 'there is no device'
done
row train skipped 'no GPU can be used: there is none'

# -- with one ------------------------------------------------------------------

for x in "${programs[@]}"; do
  program "$x" <<<'echo "$0 $*"'
done
program bench_sync <<'END'
echo "colocated_over_copy 0.93"
END
program troupe <<'END'
for x in "$@"; do
  case $x in runtime.output_dir=*) to=${x#*=}/gpu ;; esac
done
mkdir -p "$to"
echo '{ "warm_start_accuracy": 0.36, "final_accuracy": 0.98,
  "tokens_per_second": 9876.5, "sync_ms": 4.3 }' >"$to/summary.json"
END
steps=(kernel ranks syncs executor bench train conformance faults)
measure 0 build out "${steps[@]}"
for step in "${steps[@]}"; do
  row "$step" passed ''
done
row train passed 'accuracy 0.36 -> 0.98, 9876.5 tokens/s, 4.3 ms a sync'
says 'colocated_over_copy 0.93'
grep -q final_accuracy out/summary.json || complain "no summary"
grep -q -- '--run_test=nccl_gpu_ranks' out/ranks.log || complain "all ranks"

# To end is not enough for a training.
sed -i 's/0\.98/0.71/' build/bin/troupe
measure 1 build out train
row train FAILED 'accuracy 0.36 -> 0.71, .*; 0.9 is the least; train.log'

# What fails does not keep the others from running, nor does what hangs.
program test_comm_cuda_gpu <<<'echo "an element differs"; exit 3'
program test_comm_devices_gpu_executor <<<'exec tail -f /dev/null'
measure 1 --seconds 12 build out kernel ranks executor faults
row kernel FAILED 'exit code 3; kernel.log'
row ranks passed ''
row executor FAILED 'ended after [0-9]+ s \(at most [0-9]+\); executor.log'
row faults 'not run' 'no time was left'
grep -q 'an element differs' out/kernel.log || complain "no log"

# -- wrong arguments -----------------------------------------------------------

measure 2
says 'a build folder and an output folder are needed'
measure 2 nowhere out
says 'nowhere holds no build'
measure 2 build out kernle
says "no step is called 'kernle'; the steps: kernel ranks"
measure 2 --seconds soon build out
says 'needs a number'
measure 2 --fast build out
says "'--fast' is no option"

conclude
