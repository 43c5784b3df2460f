// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/core/dtype.hpp"

namespace troupe::comm::nccl {

/// A number of NCCL's `ncclResult_t`.
using status = int;

namespace codes {

inline constexpr status success = 0;
inline constexpr status unhandled_cuda_error = 1;
inline constexpr status system_error = 2;
inline constexpr status internal_error = 3;
inline constexpr status invalid_argument = 4;
inline constexpr status invalid_usage = 5;
inline constexpr status remote_error = 6;
inline constexpr status in_progress = 7;

} // namespace codes

/// What rank 0 makes and all ranks of a group begin with.
using unique_id = std::array<std::byte, 128>;

/// Opaque: NCCL's communicator.
using comm_handle = void*;

/// Opaque: memory that a communicator knows.
using registration_handle = void*;

/// What Troupe needs of NCCL, call by call and without interpretation. The real
/// one is made by `make_library` (factory.hpp) in builds with CUDA; tests drive
/// the communicator with a stand-in.
///
/// Communicators are made non-blocking: a call may return
/// `codes::in_progress`, and `async_error` says when it has come through.
/// Operations are enqueued on a stream and act on device memory. Safe to call
/// from any thread as far as NCCL is: one thread at a time a communicator,
/// `abort` and `async_error` from any.
///
/// Source of the semantics: NCCL user guide, docs.nvidia.com/deeplearning/nccl.
class library {
public:
  virtual ~library();

  /// Major * 10,000 + minor * 100 + patch, as `ncclGetVersion`.
  [[nodiscard]] virtual std::int32_t version() const noexcept = 0;

  [[nodiscard]] virtual std::string text_of(status x) const = 0;

  /// NCCL's own words about the last error of `comm`, which may be null.
  [[nodiscard]] virtual std::string last_error(comm_handle comm) const = 0;

  // -- communicators -----------------------------------------------------------

  virtual status make_id(unique_id& out) noexcept = 0;

  /// Non-blocking, on the thread's current device.
  virtual status init(comm_handle& out, const unique_id& id, std::int32_t size,
                      std::int32_t rank) noexcept = 0;

  /// Collective over `comm`: ranks of equal `color` get a communicator of their
  /// own, ordered by `key`; negative: none. Non-blocking.
  virtual status split(comm_handle comm, std::int32_t color, std::int32_t key,
                       comm_handle& out) noexcept = 0;

  /// True if the library can shrink (NCCL 2.27).
  [[nodiscard]] virtual bool can_shrink() const noexcept = 0;

  /// Called by the survivors: a communicator without `excluded`; what `comm`
  /// still does is given up.
  virtual status shrink(comm_handle comm,
                        std::span<const std::int32_t> excluded,
                        comm_handle& out) noexcept = 0;

  /// What has become of `comm`: `success`, `in_progress`, or what it died of.
  virtual status async_error(comm_handle comm, status& out) noexcept = 0;

  /// Lets what is enqueued come through; then `destroy`. Non-blocking.
  virtual status finalize(comm_handle comm) noexcept = 0;

  virtual status destroy(comm_handle comm) noexcept = 0;

  /// Ends the communicator's kernels and frees it.
  virtual status abort(comm_handle comm) noexcept = 0;

  // -- operations --------------------------------------------------------------

  virtual status group_begin() noexcept = 0;

  virtual status group_end() noexcept = 0;

  virtual status send(const void* data, std::uint64_t bytes, std::int32_t peer,
                      comm_handle comm,
                      cuda::stream_handle stream) noexcept = 0;

  virtual status recv(void* data, std::uint64_t bytes, std::int32_t peer,
                      comm_handle comm,
                      cuda::stream_handle stream) noexcept = 0;

  virtual status broadcast(void* data, std::uint64_t bytes, std::int32_t root,
                           comm_handle comm,
                           cuda::stream_handle stream) noexcept = 0;

  virtual status all_reduce(void* data, std::uint64_t elements, dtype type,
                            reduce_op op, comm_handle comm,
                            cuda::stream_handle stream) noexcept = 0;

  /// `bytes` of each rank.
  virtual status all_gather(const void* in, void* out, std::uint64_t bytes,
                            comm_handle comm,
                            cuda::stream_handle stream) noexcept = 0;

  /// `elements` for each rank.
  virtual status reduce_scatter(const void* in, void* out,
                                std::uint64_t elements, dtype type,
                                reduce_op op, comm_handle comm,
                                cuda::stream_handle stream) noexcept = 0;

  // -- memory ------------------------------------------------------------------

  /// Lets `comm` move `memory` without copies of its own where it can.
  virtual status register_memory(comm_handle comm, void* memory,
                                 std::uint64_t bytes,
                                 registration_handle& out) noexcept = 0;

  virtual status deregister(comm_handle comm,
                            registration_handle what) noexcept = 0;
};

using library_ptr = std::shared_ptr<library>;

} // namespace troupe::comm::nccl
