// SPDX-License-Identifier: Apache-2.0
// The one file that knows libtorch's CUDA side: streams and memory pools.
#include "troupe/apps/torch/cuda_stream.hpp"

#include <mutex>
#include <optional>
#include <stdexcept>
#include <tuple>

#include <ATen/Context.h>
#include <ATen/cuda/CUDAContextLight.h>
#include <ATen/cuda/MemPool.h>
#include <c10/cuda/CUDAAllocatorConfig.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>

#include "troupe/core/log.hpp"

namespace troupe::torch {

namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

/// The stream's memory comes from a private pool as long as this lives; then
/// what no tensor uses goes back to the device. Chosen by stream and not by
/// thread, because backward passes allocate on threads of libtorch's own.
class pool_of_stream {
public:
  explicit pool_of_stream(c10::cuda::CUDAStream stream)
    : guard_(stream.device_index()),
      pool_() {
    auto handle = stream.stream();
    allocator::beginAllocateToPool(pool_.device(), pool_.id(),
                                   [handle](cudaStream_t x) {
                                     return x == handle;
                                   });
    guard_.reset();
  }

  pool_of_stream(const pool_of_stream&) = delete;
  pool_of_stream& operator=(const pool_of_stream&) = delete;

  ~pool_of_stream() {
    // The same three steps as torch.cuda.use_mem_pool; the pool's own end then
    // empties it.
    allocator::endAllocateToPool(pool_.device(), pool_.id());
    allocator::releasePool(pool_.device(), pool_.id());
  }

  [[nodiscard]] c10::MempoolId_t id() { return pool_.id(); }

private:
  /// A pool belongs to the device that is current when it is made.
  c10::cuda::OptionalCUDAGuard guard_;
  at::cuda::MemPool pool_;
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
      drop_workspaces(stream_);
      pool_.reset();
    } catch (const std::exception& e) {
      log::error("torch", "cuda:{}: its memory does not come back: {}",
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
    pool_.reset();
  }

private:
  void enter() override {
    if (!pool_) {
      pool_.emplace(stream_);
      id_ = pool_->id();
    }
    guard_.emplace(stream_);
  }

  void leave() noexcept override { guard_.reset(); }

  void synchronize() override { stream_.synchronize(); }

  c10::cuda::CUDAStream stream_;
  std::optional<pool_of_stream> pool_;
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
  return std::make_unique<cuda_stream>(static_cast<c10::DeviceIndex>(device));
}

void synchronize_cuda(std::int32_t device) {
  c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device))
    .synchronize();
}

} // namespace troupe::torch
