#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# program_test.sh PROGRAM ROOT: runs the demonstration on four devices and looks
# for each of its steps, for the links it used and for what it leaves behind.
set -uo pipefail
# shellcheck source=tests/support/complain.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../support/complain.sh"

program=$1
config=$2/apps/colocate/colocate.yaml
# Only processes of this test have it.
export TROUPE_COLOCATE_TEST=$work
cd "$work" || exit 1
# Who has no processor for a while is not frozen.
patient=(--set runtime.pulse_timeout_ms=10000)

timeout 60 "$program" run "$config" --devices cpu:4 --plain --name demo \
  "${patient[@]}" >out 2>&1
code=$?
[[ $code == 0 ]] || complain "it ended with $code"

# The steps, in this order.
steps=(
  'training workers are on cpu:0, cpu:1, cpu:2, cpu:3'
  'inference instance 0 is on cpu:0, cpu:1'
  'inference instance 1 is on cpu:2, cpu:3'
  'each instance shares its devices with the training workers'
  'cpu:0: 4 tensors, 1024 KiB, shared by process'
  'cpu:1: 4 tensors, 1024 KiB, shared by process'
  'cpu:2: 4 tensors, 1024 KiB, shared by process'
  'cpu:3: 4 tensors, 1024 KiB, shared by process'
  'inference weights add up to 1048576'
  'training weights are zeroed'
  'inference weights add up to 0 after the update'
  'the change is verified'
)
last=0
for step in "${steps[@]}"; do
  at=$(grep -nF "colocate: $step" out | cut -d: -f1 |
    awk -v last="$last" '$1 > last { print; exit }')
  if [[ -z $at ]]; then
    complain "no step '$step' after line $last"
  else
    last=$at
  fi
done
owners=$(grep -o 'shared by process [0-9]*' out | sort -u | wc -l)
[[ $owners == 4 ]] || complain "$owners processes share weights, not 4"

# Through shared memory, and bit for bit.
log=runs/demo/log/driver.log
grep -q ' over shm: ' "$log" || complain "no weights travelled over shm"
! grep -q ' over gloo: ' "$log" || complain "weights travelled over gloo"
grep -q '"weights_identical": *true' runs/demo/summary.json ||
  complain "the weights are not identical"

# All roles on one device: what is made for one GPU runs on any one device.
timeout 60 "$program" run "${config%.yaml}_one_gpu.yaml" --devices cpu:1 \
  --plain --name single "${patient[@]}" >out3 2>&1
[[ $? == 0 ]] || complain "one device is not enough"
for step in 'inference instance 0 is on cpu:0' 'the change is verified'; do
  grep -qF "colocate: $step" out3 || complain "one device: no step '$step'"
done
grep -q ' over shm: ' runs/single/log/driver.log ||
  complain "one device: no weights travelled over shm"

# In one process there is nothing to hand over.
timeout 60 "$program" run "$config" --devices inproc:4 --plain --name one \
  >out2 2>&1
[[ $? == 1 ]] || complain "inproc:4 did not fail"
grep -q 'trains and infers in process' out2 ||
  complain "inproc:4 does not say why it failed"

# Nothing is left; sweepers end soon after their drivers.
left() {
  local entry
  for entry in /proc/[0-9]*/environ; do
    [[ $(readlink "${entry%environ}exe" 2>/dev/null) == "$(readlink -f "$program")" ]] &&
      grep -qszF "TROUPE_COLOCATE_TEST=$work" "$entry" 2>/dev/null &&
      echo "${entry//[^0-9]/}" && return
  done
  return 1
}
nothing_left() { ! left >/dev/null; }
eventually 20 nothing_left || complain "process $(left) is left"

conclude out out2 out3
