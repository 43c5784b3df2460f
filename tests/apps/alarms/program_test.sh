#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# program_test.sh PROGRAM ROOT: runs the demonstration and looks for what the
# application itself was told.
set -uo pipefail
# shellcheck source=tests/support/complain.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../support/complain.sh"

program=$1
config=$2/apps/alarms/alarms.yaml
cd "$work" || exit 1
# Who has no processor for a while is not frozen.
patient=(--set runtime.pulse_timeout_ms=10000)

# A run that goes on is told of once.
timeout 60 "$program" run "$config" --plain --name warned \
  "${patient[@]}" >out 2>told
code=$?
[[ $code == 0 ]] || complain "the run that goes on ended with $code"
[[ $(grep -c '^alarm' told) == 1 ]] || complain "it was not told once"
grep -qx 'alarm 1: walker, step: loss is infinite in episode 15' told ||
  complain "it was not told of episode 15"
[[ $(wc -l <runs/warned/metrics.jsonl) == 20 ]] || complain "it did not go on"

# One that stops is told of before it ends, its summary included.
timeout 60 "$program" run "$config" --plain --name stopped \
  --set runtime.on_non_finite=stop "${patient[@]}" >out2 2>told2
code=$?
[[ $code == 1 ]] || complain "the run that stops ended with $code"
grep -q '^alarm 1: walker, step: loss is infinite in episode 15$' told2 ||
  complain "the end was not told of"

# Nothing to tell, nobody told.
timeout 60 "$program" run "$config" --plain --name calm \
  --set models.walker.rate=0.1 "${patient[@]}" >out3 2>told3
[[ $? == 0 ]] || complain "the calm run failed"
! grep -q '^alarm' told3 || complain "a calm run alarmed somebody"

# What a checkpoint does not hold is told once of the data, and once of the
# model: neither says how it is saved.
timeout 60 "$program" run "$config" --plain --name saved \
  --set models.walker.rate=0.1 --set runtime.save_episode_interval=5 \
  "${patient[@]}" >out4 2>told4
[[ $? == 0 ]] || complain "the run that saves failed"
[[ $(grep -c '^alarm' told4) == 2 ]] || complain "it was not told of both"
grep -q '^alarm 1: .*the data has no position()' told4 ||
  complain "it was not told of the data"
grep -q '^alarm 2: walker, save checkpoint: it trains and has saved nothing' \
  told4 || complain "it was not told of the walker"
cat out4 told4 | tr -s '[:space:]' ' ' | grep -q 'Warning: .*the data has no position()' ||
  complain "the terminal does not warn"

conclude out told out2 told2 out3 told3 out4 told4
