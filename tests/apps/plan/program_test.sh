#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# program_test.sh PROGRAM FOLDER: runs `PROGRAM plan` on the shipped
# configurations in FOLDER and on wrong input.
set -uo pipefail

program=$1
plans=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

complain() {
  printf 'FAILED: %s\n' "$1"
  failures=$((failures + 1))
}

# Complains about lines of standard input with more than 80 columns; escapes
# take none.
check_width() {
  local what=$1 long
  long=$(sed -E $'s/\x1b\\[[0-9;]*m//g' | LC_ALL=C.UTF-8 awk 'length > 80')
  [[ -z $long ]] || complain "$what: more than 80 columns: $long"
}

# plan NAME ARGUMENTS...: must end with 0 and print something narrow.
plan() {
  local name=$1
  shift
  "$program" plan "$@" >"$work/out" 2>"$work/err" ||
    complain "$name: exit code $?: $(cat "$work/err")"
  [[ -s $work/out ]] || complain "$name: prints nothing"
  [[ ! -s $work/err ]] || complain "$name: complains: $(cat "$work/err")"
  check_width "$name" <"$work/out"
}

# refused NAME WORDS ARGUMENTS...: must end with 2, print nothing but a
# complaint that holds the words.
refused() {
  local name=$1 words=$2 code=0
  shift 2
  "$program" plan "$@" >"$work/out" 2>"$work/err" || code=$?
  ((code == 2)) || complain "$name: exit code $code instead of 2"
  [[ ! -s $work/out ]] || complain "$name: prints a plan"
  tr '\n' ' ' <"$work/err" | tr -s ' ' | grep -qF -- "$words" ||
    complain "$name: lacks '$words': $(cat "$work/err")"
}

for pair in two_cores:two_cores_machine eight_gpus:eight_gpus_machine \
  four_nodes:four_nodes_machines; do
  job=$plans/${pair%:*}.yaml
  machines=$plans/${pair#*:}.yaml
  for colour in always never; do
    plan "$pair, colour $colour" "$job" --nodes-spec "$machines" \
      --colour "$colour"
    if [[ $colour == always ]]; then
      grep -q $'\x1b\\[' "$work/out" || complain "$pair: no colours"
    else
      ! grep -q $'\x1b' "$work/out" || complain "$pair: colours"
    fi
    plan "$pair, explain" "$job" --nodes-spec "$machines" --explain policy \
      --colour "$colour"
    plan "$pair, optimize" "$job" --nodes-spec "$machines" --optimize \
      --budget 0.2 --colour "$colour"
  done
  "$program" plan "$job" --nodes-spec "$machines" --json \
    --svg "$work/plan.svg" >"$work/out" || complain "$pair: no JSON"
  grep -q '"schema": "troupe.plan/1"' "$work/out" ||
    complain "$pair: the JSON names no schema"
  grep -q '<svg' "$work/plan.svg" ||
    complain "$pair: the drawing is no SVG"
done

cpu=("$plans/two_cores.yaml" --devices)
plan 'CPU devices' "${cpu[@]}" cpu:2
plan 'CUDA devices on any machine' "${cpu[@]}" cuda:0,1
plan groups --groups --world 16 --tp 2 --pp 4 --order vllm
plan 'many groups' --groups --world 256 --tp 64

layouts=("$plans/layouts/trainer.json" "$plans/layouts/policy.json")
for planner in reshard two_stage; do
  plan "transfer by $planner" --transfer "${layouts[@]}" --planner "$planner"
done
"$program" plan --transfer "${layouts[@]}" --json >"$work/out" ||
  complain 'transfer: no JSON'
grep -q '"problems": \[\]' "$work/out" || complain 'transfer: problems'
# The source knows no layer of that name.
sed 's/layers\.0/layers.1/' "${layouts[1]}" >"$work/other.json"
for look in '' --json; do
  code=0
  "$program" plan --transfer "${layouts[0]}" "$work/other.json" \
    ${look:+"$look"} \
    >"$work/out" 2>"$work/err" || code=$?
  ((code == 1)) || complain "transfer with problems: exit code $code"
  grep -q uncovered "$work/out" || complain 'transfer: names no problem'
done
refused 'one layout' transfer --transfer "${layouts[0]}"
refused 'no layout' 'is missing' --transfer "${layouts[0]}" \
  "$plans/models/$(ls "$plans/models" | grep -m1 json)"
refused 'absent layout' 'cannot be read' --transfer "$work/none.json" \
  "${layouts[1]}"
refused 'unknown planner' reshard --transfer "${layouts[@]}" --planner best

groups=(--groups --json --world)
refused 'too few devices' not-enough-devices "${cpu[@]}" cpu:1
refused 'unknown devices' "unknown kind 'gpu'" "${cpu[@]}" gpu:2
refused 'all CUDA devices' 'name them' "${cpu[@]}" cuda
refused 'no configuration' 'cannot be read' "$work/none.yaml"
refused 'no nodes file' 'cannot be read' "$plans/two_cores.yaml" \
  --nodes-spec "$work/none.yaml"
refused 'devices twice' excludes "${cpu[@]}" cpu:2 --nodes-spec x
refused 'unknown model' 'there is no model' "${cpu[@]}" cpu:2 --explain nobody
refused 'unwritable drawing' none "${cpu[@]}" cpu:2 --svg "$work/none/x.svg"
refused 'unknown option' nonsense "${cpu[@]}" cpu:2 --nonsense
refused 'no time' --budget "${cpu[@]}" cpu:2 --optimize --budget 0
refused 'world that does not divide' 'not divisible' "${groups[@]}" 6 --tp 4
refused 'no world' 'between 1 and' "${groups[@]}" 0
refused 'negative world' 'between 1 and' "${groups[@]}" -4
refused 'negative size' 'at least 1' "${groups[@]}" 4 --tp -2
refused 'size of zero' 'at least 1' "${groups[@]}" 4 --pp 0
refused 'huge world' 'beyond' "${groups[@]}" 2000000000
refused 'world beyond 64 bits' beyond "${groups[@]}" 99999999999999999999
refused 'huge product' 'not divisible' "${groups[@]}" 16 --tp 2000000000 \
  --pp 2000000000
refused 'unknown order' 'megatron, vllm' "${groups[@]}" 4 --order deepspeed

((failures == 0)) && echo "all passed"
exit $((failures > 0))
