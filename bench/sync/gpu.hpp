// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "troupe/bench/sync/sync_load.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/cuda/stream.hpp"
#include "troupe/comm/device.hpp"
#include "troupe/comm/nccl/library.hpp"
#include "troupe/comm/transfer/copy_engine.hpp"
#include "troupe/comm/transfer/types.hpp"

namespace troupe::bench {

/// The tensors of one end on a device, one behind the other without gaps: what
/// a sync copies is what one bare copy of `bytes()` copies.
struct device_tensors {
  std::shared_ptr<comm::shared_memory> memory;
  std::vector<comm::transfer::local_tensor> list;

  [[nodiscard]] std::span<std::byte> bytes() const noexcept;
};

/// A GPU of this process as `bench_sync` uses it: Troupe's device, the bare
/// means beside it, and what is needed to look whether a figure is one.
///
/// Threads: the one that measures.
class gpu {
public:
  /// With the CUDA and the NCCL of this build. Fails with `errc::unavailable`
  /// and the reason if there is no such GPU; without NCCL it does not fail.
  static result<std::unique_ptr<gpu>> open(std::int32_t number);

  /// `library` may be null; `without_nccl` says why. The calling thread works on
  /// the device from then on.
  static result<std::unique_ptr<gpu>> make(comm::cuda::runtime_ptr runtime,
                                           std::int32_t number,
                                           comm::nccl::library_ptr library,
                                           std::string without_nccl = {});

  [[nodiscard]] const comm::cuda::runtime_ptr& runtime() const noexcept {
    return runtime_;
  }

  [[nodiscard]] std::int32_t number() const noexcept { return number_; }

  [[nodiscard]] comm::device& device() const noexcept { return *device_; }

  [[nodiscard]] const comm::nccl::library_ptr& library() const noexcept {
    return library_;
  }

  /// Lines for people: the device, and the versions of CUDA, its driver and
  /// NCCL.
  [[nodiscard]] result<std::vector<std::string>> describe() const;

  // -- the bare means ----------------------------------------------------------

  /// Seconds of one copy between any two of device and pinned memory. It is
  /// waited for by CUDA's own wait, which asks without a pause and has no
  /// deadline: what we compare with owes nothing to our waits.
  result<double> timed_copy(std::byte* to, const std::byte* from,
                            std::uint64_t bytes);

  // -- memory ------------------------------------------------------------------

  result<device_tensors> make_tensors(const sync_load& load);

  /// Fills memory of the device by pieces, each as `fill_tensor` would fill it;
  /// their digest, taken on the host. Piece i has the key i.
  result<digest> fill(std::span<const std::span<std::byte>> pieces,
                      unsigned seed);

  result<digest> fill(const device_tensors& tensors, unsigned seed);

  result<void> clear(std::span<std::byte> memory);

  // -- is it right? ------------------------------------------------------------

  /// Fails with `errc::corrupt` if the tensors' digest is not `expected`.
  result<void> check(const device_tensors& tensors, const digest& expected);

  /// For copies outside of executors.
  [[nodiscard]] comm::transfer::copy_engine& engine() noexcept {
    return *engine_;
  }

private:
  gpu(comm::cuda::runtime_ptr runtime, std::int32_t number,
      comm::nccl::library_ptr library, std::string without_nccl,
      comm::device_ptr device, comm::cuda::stream line,
      std::unique_ptr<comm::transfer::copy_engine> engine);

  comm::cuda::runtime_ptr runtime_;
  std::int32_t number_;
  comm::nccl::library_ptr library_;
  std::string without_nccl_;
  comm::device_ptr device_;
  comm::cuda::stream line_;
  std::unique_ptr<comm::transfer::copy_engine> engine_;
};

} // namespace troupe::bench
