#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# under_fire.sh [--every SECONDS] [--seed N] [BUILD]
#
# A GRPO run that loses a process again and again: one of its hosts, drawn at
# random, is killed every 10 seconds, and `on_failure: restart` makes it go on.
# Compares it with an undisturbed run of the same seed: metrics (all but times)
# and ledger must be equal. Takes about five minutes; BUILD is `build`.
#
#   tests/apps/run/under_fire.sh
#   tests/apps/run/under_fire.sh --every 3 --seed 7

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
every=10
seed=1
while (($#)); do
  case $1 in
    --every) every=$2 && shift ;;
    --seed) seed=$2 && shift ;;
    -h | --help)
      sed -n '3,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit
      ;;
    *) break ;;
  esac
  shift
done
build=$(cd "${1:-$root/build}" && pwd -P)

folder=$(mktemp -d "${TMPDIR:-/tmp}/troupe-fire.XXXXXX")
driver=
# The guard ends what the driver leaves.
clean_up() {
  [[ -z $driver ]] || kill -KILL "$driver" 2>/dev/null || true
  rm -rf "$folder"
}
trap clean_up EXIT

run=("$build/bin/troupe" run "$root/apps/grpo/addition.yaml" --seed "$seed"
  --output-dir "$folder" --plain)

echo "undisturbed..."
"${run[@]}" --name whole >"$folder/whole.txt"

echo "killing a host every $every seconds..."
began=$SECONDS
"${run[@]}" --name disturbed --set runtime.on_failure=restart \
  --set runtime.max_restarts=1000 --set runtime.save_episode_interval=5 \
  >"$folder/disturbed.txt" 2>&1 &
driver=$!
kills=0
next=$((SECONDS + every))
while kill -0 "$driver" 2>/dev/null; do
  # Nobody ever writes there: a pause.
  read -rt 0.2 <> <(:) || true
  ((SECONDS < next)) && continue
  next=$((SECONDS + every))
  # Hosts are the guard's children, the guard is the driver's.
  guard=$(pgrep -P "$driver" | head -n 1 || true)
  [[ -n $guard ]] || continue
  host=$(pgrep -P "$guard" | shuf -n 1 || true)
  if [[ -n $host ]] && kill -KILL "$host" 2>/dev/null; then
    kills=$((kills + 1))
  fi
done
code=0
wait "$driver" || code=$?
driver=
if ((code != 0)); then
  tail -n 30 "$folder/disturbed.txt"
  echo "under_fire.sh: the run ended with $code after $kills kills" >&2
  exit 1
fi

# What the clock says may differ.
timeless() {
  sed -E 's;"([a-z]+_seconds|seconds/[^"]+|sync_ms|tokens_per_second)":[^,}]*;;g' \
    "$folder/$1/metrics.jsonl"
}
diff <(timeless whole) <(timeless disturbed) >"$folder/metrics.diff" || {
  head -n 10 "$folder/metrics.diff"
  echo "under_fire.sh: the metrics differ" >&2
  exit 1
}
cmp "$folder/whole/ledger.jsonl" "$folder/disturbed/ledger.jsonl"
sed -nE '/^grpo /p;/^  (warm start|final|rise) /p;/weights:/p' \
  "$folder/disturbed.txt"
echo "$kills kills in $((SECONDS - began)) s; $(wc -l \
  <"$folder/disturbed/metrics.jsonl") episodes, metrics and ledger are those" \
  "of the undisturbed run"
