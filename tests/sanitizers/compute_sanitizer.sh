#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What NVIDIA's compute-sanitizer finds in the copy kernel and in what launches
# it: accesses out of bounds, races in shared memory, barriers that not all
# threads reach. Of NCCL's kernels nothing is said.
#
#   compute_sanitizer.sh FOLDER     of the build, e.g. build-cuda
#
# Ends with 77 where there is no device or no compute-sanitizer.
set -euo pipefail

build=${1:?a build folder is needed, e.g. build-cuda}
kernel=$build/bin/test_comm_cuda_gpu
# Within one process: of a rank that is forked, and killed when it has answered,
# the tool would report nothing.
sync=("$build/bin/test_comm_devices_gpu_executor"
  --run_test=devices_gpu_executor/every_element_arrives
  --run_test=devices_gpu_executor/staged_is_seen_after_the_commit)

# The program says itself why it cannot run.
status=0
said=$("$kernel" 2>&1) || status=$?
if ((status != 0)); then
  printf '%s\n' "$said"
  exit "$status"
fi

tool=$(command -v compute-sanitizer || true)
for folder in "${CUDA_HOME:-/nowhere}" /usr/local/cuda; do
  [[ -n $tool || ! -x $folder/bin/compute-sanitizer ]] ||
    tool=$folder/bin/compute-sanitizer
done
if [[ -z $tool ]]; then
  echo "skipped: no compute-sanitizer on PATH, in CUDA_HOME or in" \
    "/usr/local/cuda: it comes with the toolkit"
  exit 77
fi

# Random tests take a tenth: the tools slow a kernel down many times.
export TROUPE_TEST_COUNT=6
failed=()
for kind in memcheck racecheck synccheck; do
  for program in kernel sync; do
    declare -n command=$program
    echo "== $kind: ${command[*]}"
    options=()
    # That an event is not ready yet is an answer, no error.
    [[ $kind != memcheck ]] || options=(--report-api-errors no)
    # The programs fork one that looks for a device.
    "$tool" --tool "$kind" --target-processes all "${options[@]}" \
      --error-exitcode 1 "${command[@]}" || failed+=("$kind of $program")
  done
done
if ((${#failed[@]} > 0)); then
  (IFS=, && echo "compute-sanitizer: ${failed[*]}")
  exit 1
fi
