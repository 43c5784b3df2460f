#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# program_test.sh PROGRAM ROOT: runs `PROGRAM plan` on the configurations that
# the project in ROOT ships, on the examples of its help and on wrong input.
set -uo pipefail
# shellcheck source=tests/support/complain.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../support/complain.sh"

program=$1
root=$2
plans=$root/apps/plans

# Complains about lines of standard input with more than 80 columns; escapes
# take none.
check_width() {
  local what=$1 long
  long=$(sed -E $'s/\x1b\\[[0-9;]*m//g' | LC_ALL=C.UTF-8 awk 'length > 80')
  [[ -z $long ]] || complain "$what: more than 80 columns: $long"
}

# plan NAME ARGUMENTS...: must end with 0 and print something, narrow unless it
# is for programs.
plan() {
  local name=$1
  shift
  "$program" plan "$@" >"$work/out" 2>"$work/err" ||
    complain "$name: exit code $?: $(cat "$work/err")"
  [[ -s $work/out ]] || complain "$name: prints nothing"
  [[ ! -s $work/err ]] || complain "$name: complains: $(cat "$work/err")"
  [[ " $* " == *' --json '* ]] || check_width "$name" <"$work/out"
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

# What the help shows is what people try first.
"$program" plan --help >"$work/help" || complain 'help: no exit code 0'
sed -n '/^Examples:/,$p' "$work/help" |
  sed -E ':a; /\\$/{N; s/\\\n */ /; ba}' | grep -E '^ *plan ' >"$work/examples"
count=0
while read -r _ example; do
  count=$((count + 1))
  read -r -a words <<<"$example"
  for word in "${words[@]}"; do
    [[ $word != */* || -e $root/$word ]] || complain "help: there is no $word"
  done
  cd "$root" || exit 1
  plan "the help's example $example" "${words[@]}"
  cd "$OLDPWD" || exit 1
done <"$work/examples"
((count >= 4)) || complain "help: only $count examples"

# Experts in the order tp-cp-ep-dp-pp, folded over context, and as vLLM does.
experts() {
  local expected=$1
  shift
  plan "experts $*" --groups --json "$@"
  grep -qF "\"ep\":[$expected," "$work/out" ||
    complain "experts $*: not $expected: $(cat "$work/out")"
}
five=(--world 16 --tp 2 --pp 2 --cp 2 --ep 2)
experts '[0,4],[1,5],[2,6],[3,7],[8,12]' "${five[@]}" --order megatron
experts '[0,2],[1,3],[4,6]' "${five[@]}" --order megatron --etp 2
experts '[0,1],[2,3],[4,5]' "${five[@]}" --order vllm
experts '[0,1,2,3,8,9,10,11]' --world 16 --tp 2 --pp 2 --cp 2 --order vllm

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
refused 'a place of the kernel' 'choose another place with --svg' "${cpu[@]}" \
  cpu:2 --svg /proc/x.svg
refused 'a drawing without a name' '--svg: must not be empty' "${cpu[@]}" \
  cpu:2 --svg ''
refused 'no model to explain' '--explain: must not be empty' "${cpu[@]}" \
  cpu:2 --explain ''
refused 'no name of a nodes file' '--nodes-spec: must not be empty' \
  "$plans/two_cores.yaml" --nodes-spec ''
refused 'a configuration beside groups' 'a configuration has no meaning' \
  nope.yaml --groups --world 4
refused 'devices beside groups' excludes --groups --world 4 --devices cpu:2
for option in --svg --nodes-spec --set --explain; do
  refused "$option beside groups" "$option has no meaning" --groups --world 4 \
    "$option" "$work/q"
done
refused 'a search of groups' '--optimize has no meaning' --groups --world 4 \
  --optimize
[[ ! -e $work/q ]] || complain 'groups are drawn'

# A pipe is drawn into; it must not become a file.
mkfifo "$work/pipe"
refused 'a pipe nobody reads' 'choose another place with --svg' "${cpu[@]}" \
  cpu:2 --svg "$work/pipe"
cat "$work/pipe" >"$work/piped.svg" &
exec 3>"$work/pipe" # opened once the reader is there
plan 'a drawing through a pipe' "${cpu[@]}" cpu:2 --svg "$work/pipe"
exec 3>&-
wait
[[ -p $work/pipe ]] || complain 'a drawing through a pipe: the pipe is gone'
grep -q '</svg>' "$work/piped.svg" || complain 'a drawing through a pipe: none'

# A full disk is told. Whoever may make devices could also lose the real one.
full=/dev/full
if ((EUID == 0)); then
  full=$work/full
  mknod "$full" c 1 7 2>/dev/null && dd if=/dev/zero bs=1 count=1 of="$full" \
    2>&1 | grep -q 'No space' || full=
fi
if [[ -c $full ]]; then
  if "$program" plan "${cpu[@]}" cpu:2 --json >"$full" 2>"$work/told"; then
    complain 'output to a full disk: ends well'
  fi
  grep -q 'No space left' "$work/told" ||
    complain 'output to a full disk: does not say so'
  refused 'a full disk' 'free some space' "${cpu[@]}" cpu:2 --svg "$full"
  [[ -c $full ]] || complain 'a full disk: the device is gone'
fi

refused 'misspelt model' "did you mean 'policy'?" "${cpu[@]}" cpu:2 \
  --explain polcy
refused 'unknown option' nonsense "${cpu[@]}" cpu:2 --nonsense
refused 'no time' --budget "${cpu[@]}" cpu:2 --optimize --budget 0
refused 'world that does not divide' 'not divisible' "${groups[@]}" 6 --tp 4
refused 'no world' 'between 1 and' "${groups[@]}" 0
refused 'negative world' 'between 1 and' "${groups[@]}" -4
refused 'negative size' 'at least 1' "${groups[@]}" 4 --tp -2
refused 'size of zero' 'at least 1' "${groups[@]}" 4 --pp 0
refused 'huge world' 'beyond' "${groups[@]}" 2000000000
refused 'world beyond 64 bits' "--world: '99999999999999999999' is no whole" \
  "${groups[@]}" 99999999999999999999
refused 'world that is no number' "--world: '4x' is no whole" "${groups[@]}" 4x
refused 'size beyond 32 bits' "--tp: '99999999999' is no whole" \
  "${groups[@]}" 4 --tp 99999999999
for budget in nan inf -1 5s; do
  refused "budget $budget" "--budget: '$budget' is no number" "${cpu[@]}" \
    cpu:2 --optimize --budget "$budget"
done
plan 'decimal world' --groups --json --world 010
grep -qF '"pp":[[0],[1],[2],[3],[4],[5],[6],[7],[8],[9]]' "$work/out" ||
  complain "decimal world: $(cat "$work/out")"
refused 'huge product' 'not divisible' "${groups[@]}" 16 --tp 2000000000 \
  --pp 2000000000
refused 'unknown order' 'megatron, vllm' "${groups[@]}" 4 --order deepspeed

conclude
