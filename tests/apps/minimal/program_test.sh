#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# program_test.sh PROGRAM ROOT: the template says no word of checkpoints but its
# data's position. A run of it that goes on must be the run that it would have
# been.
set -uo pipefail
export LC_ALL=C
# shellcheck source=tests/support/complain.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../support/complain.sh"

program=$1
config=$2/apps/minimal/minimal.yaml
cd "$work" || exit 1

# go NAME WORDS...: a run to its end; what it says is in NAME.out.
go() {
  local name=$1
  shift
  # Who has no processor for a while is not frozen.
  timeout 60 "$program" run "$@" --set runtime.pulse_timeout_ms=10000 --plain \
    >>"$name.out" 2>&1 ||
    complain "$name ended with $?"
}

# What a run has learned, and from what, an episode a line.
learned() {
  grep -oE '"(episode|mean|mean_reward)": ?[^,}]*' "runs/$1/metrics.jsonl"
  cat "runs/$1/ledger.jsonl"
}

begin=("$config" --devices cpu:2 --seed 3)
go whole "${begin[@]}" --name whole --set runtime.num_episode=8
[[ $(grep -c . runs/whole/metrics.jsonl) == 8 ]] || complain "no eight episodes"

go parts "${begin[@]}" --name parts --set runtime.num_episode=4 \
  --set runtime.save_episode_interval=3
go parts --resume parts --set runtime.num_episode=8
diff <(learned whole) <(learned parts) >differences ||
  complain "the resumed run is another one"
[[ $(grep -c '"mean"' <(learned parts)) == 8 ]] || complain "no means are told"
! grep -q 'Warning:' parts.out || complain "there was something to warn of"

# The source has the policy's weights: they are not saved again.
saved=$(cd runs/parts/checkpoints/episode-00000008 && find . -name '*.rank*' |
  sort | tr '\n' ' ')
[[ $saved == './policy/0/troupe.rank0 ./policy/1/troupe.rank0 '\
'./reward/0/troupe.rank0 ./trainer/0/parameters.rank0 '\
'./trainer/0/troupe.rank0 ' ]] || complain "it has saved $saved"

conclude ./*.out differences
