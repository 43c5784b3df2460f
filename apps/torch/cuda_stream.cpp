// SPDX-License-Identifier: Apache-2.0
// The one file that knows libtorch's CUDA side: streams and memory pools.
#include "troupe/apps/torch/cuda_stream.hpp"

#include <array>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <stdexcept>
#include <tuple>

#include <ATen/Context.h>
#include <ATen/cuda/CUDAContextLight.h>
#include <ATen/cuda/MemPool.h>
#include <c10/cuda/CUDAAllocatorConfig.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAMacros.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>

#include "troupe/core/log.hpp"

namespace troupe::torch {

namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

/// Held by all who allocate from pools of a device, and by one who empties a
/// pool: libtorch takes the first for captures of graphs, and ends the process
/// if a pool of the same device is emptied meanwhile.
std::shared_mutex& pools_of(c10::DeviceIndex device) {
  static std::array<std::shared_mutex, C10_COMPILE_TIME_MAX_GPUS> all;
  return all.at(static_cast<std::size_t>(device));
}

/// As long as this lives the stream's memory comes from a pool. Chosen by
/// stream and not by thread: libtorch has threads of its own that allocate.
class pool_in_use {
public:
  pool_in_use(at::cuda::MemPool& pool, c10::cuda::CUDAStream stream)
    : together_(pools_of(pool.device())),
      device_(pool.device()),
      id_(pool.id()) {
    auto handle = stream.stream();
    allocator::beginAllocateToPool(device_, id_, [handle](cudaStream_t x) {
      return x == handle;
    });
  }

  pool_in_use(const pool_in_use&) = delete;
  pool_in_use& operator=(const pool_in_use&) = delete;

  ~pool_in_use() {
    // Each beginning counts as a user of the pool.
    allocator::endAllocateToPool(device_, id_);
    allocator::releasePool(device_, id_);
  }

private:
  std::shared_lock<std::shared_mutex> together_;
  c10::DeviceIndex device_;
  c10::MempoolId_t id_;
};

/// cuBLAS keeps one workspace a handle and stream, in the stream's pool.
void drop_workspaces(c10::cuda::CUDAStream stream) {
  for (auto* all : {&at::cuda::cublas_handle_stream_to_workspace(),
                    &at::cuda::cublaslt_handle_stream_to_workspace()}) {
    std::unique_lock lock{all->mutex};
    std::erase_if(all->map, [&](const auto& x) {
      return std::get<1>(x.first) == static_cast<void*>(stream.stream());
    });
  }
}

class cuda_stream : public device_stream {
public:
  explicit cuda_stream(c10::DeviceIndex device)
    : stream_(c10::cuda::getStreamFromPool(false, device)) {
    // The pool comes with the first work.
  }

  ~cuda_stream() override {
    try {
      c10::cuda::CUDAGuard on_device{stream_.device_index()};
      // A device that failed does so here again. The pool must then not end:
      // its own end frees memory, and what that throws ends the process.
      stream_.synchronize();
      drop_workspaces(stream_);
      end_pool();
    } catch (const std::exception& e) {
      static_cast<void>(pool_.release());
      log::error("torch",
                 "cuda:{}: a model's memory comes back only when this process "
                 "ends, because the device failed: {}",
                 stream_.device_index(), e.what());
    }
  }

  dlpack::device device() const noexcept override {
    return {dlpack::device_type::cuda, stream_.device_index()};
  }

  std::optional<pool_figures> pool() const override {
    pool_figures sum;
    if (id_.first == 0 && id_.second == 0)
      return sum;
    // Of a pool that has gone there are no segments.
    for (const auto& x : allocator::snapshot(id_, false).segments)
      if (x.owner_private_pool_id == id_) {
        sum.reserved += x.total_size;
        sum.in_use += x.allocated_size;
      }
    return sum;
  }

  void release() override {
    c10::cuda::CUDAGuard on_device{stream_.device_index()};
    stream_.synchronize();
    drop_workspaces(stream_);
    end_pool();
  }

private:
  void enter() override {
    if (!pool_) {
      // It belongs to the device that is current when it is made.
      c10::cuda::CUDAGuard on_device{stream_.device_index()};
      pool_ = std::make_unique<at::cuda::MemPool>();
      id_ = pool_->id();
    }
    used_.emplace(*pool_, stream_);
    try {
      guard_.emplace(stream_);
    } catch (...) {
      // Nobody calls leave(). The lock of the pools that this thread holds
      // would let it wait for itself when the pool ends.
      used_.reset();
      throw;
    }
  }

  void leave() noexcept override {
    guard_.reset();
    used_.reset();
  }

  /// Gives what no tensor uses back. Waits until nobody computes on the device.
  void end_pool() {
    std::unique_lock alone{pools_of(stream_.device_index())};
    pool_.reset();
  }

  void synchronize() override { stream_.synchronize(); }

  c10::cuda::CUDAStream stream_;
  std::unique_ptr<at::cuda::MemPool> pool_;
  std::optional<pool_in_use> used_;
  /// Of the last pool: asked for also after its end.
  c10::MempoolId_t id_{0, 0};
  std::optional<c10::cuda::CUDAStreamGuard> guard_;
};

void check_device(std::int32_t device) {
  auto count = c10::cuda::device_count();
  if (device < 0 || device >= count)
    throw std::runtime_error{
      fmt::format("libtorch sees {} CUDA devices, none of them cuda:{}: see "
                  "CUDA_VISIBLE_DEVICES, and whether this libtorch and the "
                  "driver fit",
                  count, device)};
}

} // namespace

std::unique_ptr<device_stream> make_cuda_stream(std::int32_t device) {
  check_device(device);
  at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
  if (allocator::CUDAAllocatorConfig::expandable_segments())
    log::warning("torch",
                 "PYTORCH_CUDA_ALLOC_CONF asks for expandable_segments: other "
                 "processes cannot read such memory in place, so weights are "
                 "copied once more on their way to them");
  if (std::getenv("PYTORCH_NO_CUDA_MEMORY_CACHING") != nullptr)
    log::warning("torch",
                 "PYTORCH_NO_CUDA_MEMORY_CACHING is set: libtorch then counts "
                 "no memory, so device_memory_max bounds nothing; unset it");
  return std::make_unique<cuda_stream>(static_cast<c10::DeviceIndex>(device));
}

void synchronize_cuda(std::int32_t device) {
  c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device))
    .synchronize();
}

} // namespace troupe::torch
