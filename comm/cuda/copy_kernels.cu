// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/copy_kernels.hpp"

#include <algorithm>
#include <array>
#include <atomic>

#include <cuda_runtime.h>

#include "troupe/comm/cuda/copy_kernel.hpp"

namespace troupe::comm::cuda {

namespace {

constexpr unsigned block_threads = 256;
constexpr unsigned warp_threads = 32;
constexpr unsigned warps = block_threads / warp_threads;

/// Blocks that a multiprocessor must have room for: enough bytes are under way
/// then, and it bounds the registers.
constexpr unsigned plain_blocks = 3;
constexpr unsigned converting_blocks = 2;

/// The device's memory. Sources are read once, so they need not stay in the
/// caches.
struct device_memory {
  template <class T>
  __device__ T load(const std::byte* from) const {
    return __ldcs(reinterpret_cast<const T*>(from));
  }

  __device__ kernel::vector load_vector(const std::byte* from) const {
    auto x = __ldcs(reinterpret_cast<const ulonglong2*>(from));
    return {x.x, x.y};
  }

  template <class T>
  __device__ void store(std::byte* to, T value) const {
    __stwb(reinterpret_cast<T*>(to), value);
  }

  __device__ void store_vector(std::byte* to, kernel::vector value) const {
    __stwb(reinterpret_cast<ulonglong2*>(to),
           make_ulonglong2(value.low, value.high));
  }
};

using counter = unsigned long long;

__device__ counter warp_sum(counter x) {
  for (auto step = warp_threads / 2; step > 0; step /= 2)
    x += __shfl_down_sync(~0u, x, step);
  return x;
}

/// Adds what the threads of a block have to `target`.
__device__ void add_up(const kernel::sums& mine, digest* target) {
  __shared__ counter parts[2][warps];
  // The first warp may still read what was there before.
  __syncthreads();
  auto products = warp_sum(mine.products);
  auto words = warp_sum(mine.words);
  auto warp = threadIdx.x / warp_threads;
  auto lane = threadIdx.x % warp_threads;
  if (lane == 0) {
    parts[0][warp] = products;
    parts[1][warp] = words;
  }
  __syncthreads();
  if (warp != 0)
    return;
  products = warp_sum(lane < warps ? parts[0][lane] : 0);
  words = warp_sum(lane < warps ? parts[1][lane] : 0);
  if (lane == 0) {
    atomicAdd(reinterpret_cast<counter*>(&target->products), products);
    atomicAdd(reinterpret_cast<counter*>(&target->words), words);
  }
}

template <bool Converts>
__global__ void __launch_bounds__(block_threads,
                                  Converts ? converting_blocks : plain_blocks)
  copy_kernel(const __grid_constant__ copy_launch launch) {
  device_memory memory;
  kernel::run_thread<Converts>(launch, blockIdx.x, gridDim.x, threadIdx.x,
                               block_threads, memory,
                               [](const kernel::sums& mine, digest* target) {
                                 add_up(mine, target);
                               });
}

constexpr int devices_max = 64;

/// As many blocks as the current device runs at once.
template <bool Converts>
cudaError_t resident_blocks(int& out) {
  static std::array<std::atomic<int>, devices_max> known{};
  int device = 0;
  if (auto code = cudaGetDevice(&device); code != cudaSuccess)
    return code;
  auto listed = device < devices_max;
  auto index = static_cast<std::size_t>(device);
  if (listed && (out = known[index].load(std::memory_order_relaxed)) > 0)
    return cudaSuccess;
  int processors = 0;
  int each = 0;
  auto code = cudaDeviceGetAttribute(&processors,
                                     cudaDevAttrMultiProcessorCount, device);
  if (code == cudaSuccess)
    code = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each,
                                                         copy_kernel<Converts>,
                                                         block_threads, 0);
  if (code != cudaSuccess)
    return code;
  out = std::max(1, processors * each);
  if (listed)
    known[index].store(out, std::memory_order_relaxed);
  return cudaSuccess;
}

template <bool Converts>
cudaError_t load() {
  cudaFuncAttributes found{};
  auto code = cudaFuncGetAttributes(&found, copy_kernel<Converts>);
  int blocks = 0;
  return code == cudaSuccess ? resident_blocks<Converts>(blocks) : code;
}

template <bool Converts>
cudaError_t enqueue(copy_launch what, cudaStream_t stream) {
  int blocks = 0;
  if (auto code = resident_blocks<Converts>(blocks); code != cudaSuccess)
    return code;
  auto grid = std::min(what.tiles, static_cast<std::uint64_t>(blocks));
  std::array<void*, 1> arguments{&what};
  return cudaLaunchKernel(reinterpret_cast<const void*>(copy_kernel<Converts>),
                          dim3{static_cast<unsigned>(grid)},
                          dim3{block_threads}, arguments.data(), 0, stream);
}

} // namespace

int load_copy_kernels() noexcept {
  auto code = load<false>();
  return code == cudaSuccess ? load<true>() : code;
}

int launch_copy_kernel(const copy_launch& what, void* stream) noexcept {
  if (what.tiles == 0)
    return cudaSuccess;
  auto where = static_cast<cudaStream_t>(stream);
  return what.converts ? enqueue<true>(what, where)
                       : enqueue<false>(what, where);
}

} // namespace troupe::comm::cuda
