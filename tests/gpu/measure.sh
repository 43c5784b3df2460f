#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# measure.sh [--seconds N] FOLDER OUT [STEP...]
#
# All that only a GPU can show, in one go: what a build with CUDA (FOLDER, e.g.
# build-cuda) does on the GPU of this machine. One is enough. The steps, first
# the ones that say most; with names, only those:
#
#   kernel       the copy kernel beside the host, element by element
#   ranks        NCCL's communicators: groups, split, deadlines, killed ranks
#   syncs        random syncs over device copy, CUDA IPC and NCCL
#   executor     the executor's suite on a device
#   bench        speed beside bare copies and bare NCCL (bench_sync)
#   train        GRPO on two-digit addition, to an accuracy of 0.9 and more
#   sanitizer    compute-sanitizer over the kernel and a sync
#   conformance  the communicator suite over NCCL, 2 and 4 ranks
#   faults       20 faults for each link
#
# A step that takes longer than its bound is ended and counts as failed, and
# --seconds N bounds all of them together: those for which no time is left are
# named and can be run by name later. OUT gets a log of each step, bench.json,
# the training's summary.json, and report.md, which is also printed.
#
# Ends with 0: all passed. 1: something failed. 2: wrong arguments. 77: there is
# no GPU, or all was skipped; each step says why.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
all=(kernel ranks syncs executor bench train sanitizer conformance faults)

usage() {
  sed -n '3,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
}

wrong() {
  echo "measure.sh: $1 (--help says what is allowed)" >&2
  exit 2
}

seconds=
words=()
while (($#)); do
  case $1 in
    -h | --help)
      usage
      exit
      ;;
    --seconds)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || wrong "--seconds needs a number"
      seconds=$2
      shift
      ;;
    -*) wrong "'$1' is no option" ;;
    *) words+=("$1") ;;
  esac
  shift
done
((${#words[@]} >= 2)) || wrong "a build folder and an output folder are needed"
[[ -x ${words[0]}/bin/troupe ]] || wrong "${words[0]} holds no build: there is \
no bin/troupe"
build=$(cd "${words[0]}" && pwd -P)
mkdir -p "${words[1]}" || exit 2
out=$(cd "${words[1]}" && pwd -P)
steps=("${words[@]:2}")
((${#steps[@]})) || steps=("${all[@]}")
for step in "${steps[@]}"; do
  [[ " ${all[*]} " == *" $step "* ]] ||
    wrong "no step is called '$step'; the steps: ${all[*]}"
done

# Sets `command` and `bound`, in seconds, of a step.
describe() {
  local bin=$build/bin
  bound=600
  case $1 in
    kernel) bound=120 command=("$bin/test_comm_cuda_gpu") ;;
    ranks) command=("$bin/test_comm_nccl_gpu" --run_test=nccl_gpu_ranks) ;;
    syncs)
      command=("$bin/test_comm_devices_gpu"
        --run_test=devices_gpu_sync/copies_are_right)
      ;;
    executor) command=("$bin/test_comm_devices_gpu_executor") ;;
    bench)
      command=("$bin/bench_sync" --devices cuda --json "$out/bench.json")
      ;;
    train)
      bound=300
      command=("$bin/troupe" run "$root/apps/grpo/addition.yaml" --devices cuda
        --seed 1 --set "runtime.output_dir=$out/runs" --name gpu)
      ;;
    sanitizer)
      command=(bash "$root/tests/sanitizers/compute_sanitizer.sh" "$build")
      ;;
    conformance)
      command=("$bin/test_comm_nccl_gpu" '--run_test=!nccl_gpu_ranks')
      ;;
    faults)
      command=("$bin/test_comm_devices_gpu"
        '--run_test=!devices_gpu_sync/copies_are_right')
      ;;
  esac
}

# Without persistence the last process that lets go of a GPU turns it off, and
# the next waits seconds for it. Whoever has the file open keeps it on, and has no
# context.
{ exec 9</dev/nvidia0; } 2>/dev/null || true

# What the log of a step says that was skipped.
reason() { sed -n 's/^skipped: //p' "$1" | head -n 1; }

# number FILE NAME: the value of a top-level field of a JSON object.
number() { sed -nE "s/.*\"$2\" *: *([0-9.e+-]+).*/\\1/p" "$1" | head -n 1; }

rows=()
passed=0
failed=0
note() { rows+=("| $1 | $2 | $3 | $4 |"); }

for step in "${steps[@]}"; do
  describe "$step"
  log=$out/$step.log
  if [[ -n $seconds ]]; then
    left=$((seconds - SECONDS))
    ((left < bound)) && bound=$left
  fi
  if ((bound < 5)); then
    note "$step" "not run" "" "no time was left"
    continue
  fi
  echo "==> $step (at most $bound s): ${command[*]}"
  [[ $step != train ]] || rm -rf "$out/runs/gpu"
  began=$SECONDS
  status=0
  # What a step leaves behind in its process group goes with it.
  OPENBLAS_NUM_THREADS=1 timeout --kill-after=10 "$bound" "${command[@]}" \
    >"$log" 2>&1 </dev/null || status=$?
  took=$((SECONDS - began))
  said=
  case $status in
    0)
      verdict=passed
      passed=$((passed + 1))
      summary=$out/runs/gpu/summary.json
      if [[ $step == train && -f $summary ]]; then
        cp "$summary" "$out/summary.json"
        said="accuracy $(number "$summary" warm_start_accuracy) ->"
        said+=" $(number "$summary" final_accuracy),"
        said+=" $(number "$summary" tokens_per_second) tokens/s,"
        said+=" $(number "$summary" sync_ms) ms a sync"
      fi
      if [[ $step == train ]] && ! awk -v x="$(number "$summary" \
        final_accuracy)" 'BEGIN { exit !(x >= 0.9) }'; then
        verdict=FAILED
        said+="; 0.9 is the least; $step.log"
        passed=$((passed - 1))
        failed=$((failed + 1))
      fi
      ;;
    77)
      verdict=skipped
      said=$(reason "$log")
      ;;
    124 | 137)
      verdict=FAILED
      said="ended after $took s (at most $bound); $step.log"
      failed=$((failed + 1))
      ;;
    *)
      verdict=FAILED
      # A GPU that is not there is a reason to skip, whoever notices.
      if grep -qE 'no NVIDIA driver|no GPU can be used' "$log"; then
        verdict=skipped
        said=$(grep -ohE '(no NVIDIA driver|no GPU can be used).*' "$log" |
          head -n 1)
      else
        said="exit code $status; $step.log"
        failed=$((failed + 1))
      fi
      ;;
  esac
  note "$step" "$verdict" "$took" "$said"
  echo "    $verdict in $took s${said:+: $said}"
done

{
  echo "# Measured on a GPU"
  echo
  echo "$(date -u +%Y-%m-%d), $(nproc) cores."
  if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,memory.total \
      --format=csv,noheader 2>&1 | sed 's/^/* /'
  fi
  echo
  echo "| step | result | s | |"
  echo "|---|---|---|---|"
  printf '%s\n' "${rows[@]}"
  for step in bench train; do
    [[ -s $out/$step.log && " ${steps[*]} " == *" $step "* ]] || continue
    echo
    echo "## $step"
    echo
    echo '```'
    tail -n 60 "$out/$step.log"
    echo '```'
  done
} >"$out/report.md"
echo
cat "$out/report.md"
((failed == 0)) || exit 1
((passed > 0)) || exit 77
