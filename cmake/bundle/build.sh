#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh [TARGET...]: builds Troupe with CUDA out of this folder, against the
# PyTorch of python3, into troupe/build-cuda. Without targets everything.
#
#   PYTHON=...        another python
#   CUDACXX=...       another nvcc than the first on PATH or /usr/local/cuda's
#   TROUPE_JOBS=N     compilers at a time; otherwise by cores and memory
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
libraries=$here/deps/usr/lib/x86_64-linux-gnu

die() {
  echo "build.sh: $*" >&2
  exit 1
}

for program in cmake ninja c++; do
  command -v "$program" >/dev/null || die "$program is not on PATH"
done
python=${PYTHON:-python3}
torch=$("$python" -c 'import importlib.util as u
s = u.find_spec("torch")
print(s.submodule_search_locations[0] if s else "")') ||
  die "$python does not run: PYTHON=... names another"
[[ -n $torch ]] || die "$python has no torch: PYTHON=... names another"
[[ -f $torch/lib/libtorch_cuda.so ]] ||
  die "the PyTorch of $python ($torch) is one without CUDA"
export TROUPE_TORCH=$torch/share/cmake

# Libraries that speak with the machine's drivers: its own if it has them.
for file in "$here"/deps/fallback/*; do
  name=$(basename "$file")
  # To its end: ldconfig would be killed by a pipe that nobody reads.
  if /sbin/ldconfig -p 2>/dev/null | grep -F "$name " >/dev/null; then
    rm -f "$libraries/$name"
  else
    ln -sf "../../../fallback/$name" "$libraries/$name"
  fi
done

# A source with libtorch takes about 2.5 GB.
jobs=${TROUPE_JOBS:-$(awk -v cores="$(nproc)" '/^MemAvailable:/ {
  n = int($2 / 2500000); if (n < 1) n = 1; print n < cores ? n : cores
}' /proc/meminfo)}

build=$here/troupe/build-cuda
echo "==> Configure $build (PyTorch in $torch)"
cmake -S "$here/troupe" -B "$build" -G Ninja -C "$here/prefix.cmake"
echo "==> Build ${*:-everything} ($jobs at a time)"
((jobs * 2 > $(nproc))) ||
  echo "    as many as the memory seems to hold; TROUPE_JOBS=$(nproc) takes more"
(($#)) && set -- --target "$@"
cmake --build "$build" --parallel "$jobs" "$@"
cat <<END_OF_TEXT
==> Programs are in $build/bin. Next:

  $build/bin/troupe run $here/troupe/apps/grpo/addition.yaml --devices cuda
  $here/troupe/tests/gpu/measure.sh $build out
  ctest --test-dir $build -L 'cuda|gpu' --output-on-failure
END_OF_TEXT
