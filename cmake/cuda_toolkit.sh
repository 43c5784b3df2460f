# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Where nvcc is, and how to get one. Read by `dev`.

# What nvcc needs to compile for a device, and NCCL, as PyPI packages of NVIDIA:
# Debian 12 has neither in main. All of one CUDA release; 300 MB to fetch, 480 MB
# on the disk.
cuda_wheels=(
  nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88
  nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
  nvidia-nccl-cu13==2.28.9
)
cuda_own=${XDG_CACHE_HOME:-$HOME/.cache}/troupe/cuda-13.0

# Prints the path of nvcc, or nothing: CUDACXX, PATH, CUDA_HOME, the usual
# folder, and the one that install_cuda makes.
find_nvcc() {
  local nvcc
  for nvcc in "$(command -v "${CUDACXX:-}" || true)" \
    "$(command -v nvcc || true)" "${CUDA_HOME:-/nowhere}/bin/nvcc" \
    /usr/local/cuda/bin/nvcc "$cuda_own/nvidia/cu13/bin/nvcc"; do
    if [[ -x $nvcc ]] && "$nvcc" --version >/dev/null 2>&1; then
      printf '%s' "$nvcc"
      return
    fi
  done
}

# Prints `13.0, V13.0.88` of the nvcc named.
nvcc_version() { "$1" --version | sed -n 's/.*release \(.*\)$/\1/p'; }

# Prints what CMAKE_PREFIX_PATH must hold for the PyTorch of python3 on PATH,
# or nothing where that has none with CUDA. Does not import it: that takes
# seconds.
torch_prefix() {
  local torch
  torch=$(python3 -c 'import importlib.util as u
s = u.find_spec("torch")
print(s.submodule_search_locations[0] if s else "")' 2>/dev/null) || return 0
  [[ -n $torch && -f $torch/lib/libtorch_cuda.so ]] || return 0
  printf '%s' "$torch/share/cmake"
}

# Lays a toolkit into $cuda_own.
install_cuda() {
  local python part=$cuda_own.part cu13 file
  if ! python3 -m pip --version >/dev/null 2>&1; then
    install_packages python3-pip
  fi
  # Debian's python even where PATH has another one without pip.
  for python in python3 /usr/bin/python3; do
    "$python" -m pip --version >/dev/null 2>&1 && break
  done
  say "Install ${cuda_wheels[*]} from PyPI into $cuda_own"
  rm -rf "$part"
  mkdir -p "$part"
  "$python" -m pip install --quiet --no-deps --no-cache-dir \
    --disable-pip-version-check --root-user-action=ignore --target "$part" "${cuda_wheels[@]}" ||
    die "pip could not install the CUDA toolkit (its reasons are above)"
  # The names that linkers and CMake look for.
  cu13=$part/nvidia/cu13
  ln -s lib "$cu13/lib64"
  for file in "$cu13"/lib/lib*.so.*; do
    ln -sf "$(basename "$file")" "${file%.so.*}.so"
  done
  printf '%s\n' '#include <cuda_runtime.h>' \
    '__global__ void one(int* to) { *to = 1; }' \
    'int main() { one<<<1, 1>>>(nullptr); }' >"$part/hello.cu"
  "$cu13/bin/nvcc" -arch=sm_80 -cudart shared -o "$part/hello" \
    "$part/hello.cu" || die "that nvcc cannot compile (its reasons are above)"
  rm -f "$part"/hello*
  rm -rf "$cuda_own"
  mv "$part" "$cuda_own"
}

setup_cuda() {
  local nvcc
  nvcc=$(find_nvcc)
  if [[ -z $nvcc ]]; then
    install_cuda
    nvcc=$(find_nvcc)
  fi
  echo "CUDA toolkit: $nvcc ($(nvcc_version "$nvcc"))"
}
