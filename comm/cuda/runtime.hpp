// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace troupe::comm::cuda {

struct copy_launch;

/// A number of the CUDA runtime's `cudaError_t`. Only those that code of ours
/// reacts to have a name here.
using status = int;

namespace codes {

inline constexpr status success = 0;
inline constexpr status invalid_value = 1;
inline constexpr status out_of_memory = 2;
/// The driver is older than the runtime.
inline constexpr status insufficient_driver = 35;
/// The device lets in no process, or no further one.
inline constexpr status devices_unavailable = 46;
inline constexpr status no_device = 100;
inline constexpr status invalid_device = 101;
/// A stream, event or IPC handle that is none, or of another device.
inline constexpr status invalid_handle = 400;
inline constexpr status not_ready = 600;
/// The process's context is gone: nothing on the device works until it ends.
inline constexpr status illegal_address = 700;
inline constexpr status launch_failure = 719;

} // namespace codes

/// Opaque: what `create_stream` and `create_event` make.
using stream_handle = void*;
using event_handle = void*;

/// Names an allocation for another process of the same machine.
using ipc_handle = std::array<std::byte, 64>;

/// Which device it is, whatever number a process gives it.
using device_uuid = std::array<std::byte, 16>;

/// Whom a device lets in (nvidia-smi -c).
enum class compute_mode : std::uint8_t {
  /// Every process.
  shared = 1,
  /// One process at a time; under CUDA's Multi-Process Service that is the
  /// service's, and so again every process of its user.
  exclusive,
  nobody,
};

/// What a device is.
struct device_figures {
  std::string name;
  device_uuid uuid{};
  std::uint64_t memory_bytes = 0;
  std::int32_t multiprocessors = 0;
  /// Compute capability.
  std::int32_t major = 0;
  std::int32_t minor = 0;
  compute_mode mode = compute_mode::shared;
};

enum class memory_kind : std::uint8_t {
  /// Ordinary memory of the process; CUDA does not know it.
  pageable = 1,
  /// Host memory that the device reads and writes by itself.
  pinned,
  device,
  managed,
};

/// Where an address points.
struct pointer_facts {
  memory_kind kind = memory_kind::pageable;
  /// Of device memory: its device's number in this process.
  std::int32_t device = -1;
  /// Of device memory: the allocation that the address lies in. Null if the
  /// driver knows none.
  std::byte* allocation = nullptr;
  std::uint64_t allocation_bytes = 0;
  /// No other allocation of the process ever has the same; 0: unknown.
  std::uint64_t allocation_id = 0;
};

/// What Troupe needs of the CUDA runtime and its own kernels, call by call and
/// without interpretation: wrappers (stream.hpp, memory.hpp, ...) turn it into
/// owners, deadlines and errors. The one that runs on devices is made by
/// `make_runtime` (factory.hpp) in builds with CUDA; tests drive the wrappers
/// with a stand-in that knows no device.
///
/// Every function returns a status and throws nothing. The current device is
/// the calling thread's, as in CUDA. Safe to call from any thread.
///
/// Source of the semantics: CUDA Runtime API, docs.nvidia.com/cuda.
class runtime {
public:
  virtual ~runtime();

  /// `CUDA runtime 13.0, driver 13.0`.
  [[nodiscard]] virtual std::string version() const = 0;

  /// The library's name and sentence for a number.
  [[nodiscard]] virtual std::string name_of(status x) const = 0;
  [[nodiscard]] virtual std::string text_of(status x) const = 0;

  /// The last error of this thread's calls, which is forgotten. A sticky one
  /// comes back.
  virtual status take_last_error() noexcept = 0;

  // -- devices -----------------------------------------------------------------

  virtual status device_count(std::int32_t& out) noexcept = 0;

  virtual status figures(std::int32_t device, device_figures& out) noexcept = 0;

  virtual status current_device(std::int32_t& out) noexcept = 0;

  virtual status set_device(std::int32_t device) noexcept = 0;

  /// Whether this process has a context on `device`, which takes some hundred
  /// MiB of it. The first of nearly all calls of a thread makes one, on the
  /// thread's device, and so does `set_device`.
  virtual bool has_context(std::int32_t device) noexcept = 0;

  /// Waits for all work of the current device. Has no deadline: wait for an
  /// event where one is needed (wait.hpp), or in a thread that may be left
  /// behind (bounded_task.hpp).
  virtual status synchronize_device() noexcept = 0;

  /// Of the current device.
  virtual status memory_bytes(std::uint64_t& free,
                              std::uint64_t& total) noexcept = 0;

  // -- memory ------------------------------------------------------------------

  /// On the current device. Can be exported; aligned to 256 bytes.
  virtual status allocate(std::byte*& out, std::uint64_t bytes) noexcept = 0;

  virtual status release(std::byte* memory) noexcept = 0;

  virtual status allocate_pinned(std::byte*& out,
                                 std::uint64_t bytes) noexcept = 0;

  virtual status release_pinned(std::byte* memory) noexcept = 0;

  virtual status facts(const void* where, pointer_facts& out) noexcept = 0;

  /// Between any two places; ordered by `stream`. With pageable memory it may
  /// wait for the device, without a deadline: use pinned memory.
  virtual status copy(void* to, const void* from, std::uint64_t bytes,
                      stream_handle stream) noexcept = 0;

  virtual status fill(void* to, std::uint8_t value, std::uint64_t bytes,
                      stream_handle stream) noexcept = 0;

  /// Names the allocation that begins at `memory`. Memory of pools and managed
  /// memory has no such name: `codes::invalid_value`.
  virtual status export_memory(std::byte* memory, ipc_handle& out) noexcept = 0;

  /// Maps another process's allocation; a handle may be open once at a time.
  virtual status import_memory(const ipc_handle& handle,
                               std::byte*& out) noexcept = 0;

  virtual status close_imported(std::byte* memory) noexcept = 0;

  // -- streams and events ------------------------------------------------------

  /// Does not wait for the legacy default stream, nor that for it.
  virtual status create_stream(stream_handle& out) noexcept = 0;

  virtual status destroy_stream(stream_handle stream) noexcept = 0;

  virtual status create_event(event_handle& out, bool timed) noexcept = 0;

  virtual status destroy_event(event_handle event) noexcept = 0;

  virtual status record(event_handle event, stream_handle stream) noexcept = 0;

  /// `codes::not_ready` until all that stood before the event is done.
  virtual status query(event_handle event) noexcept = 0;

  /// What `stream` does from now on waits for `event`.
  virtual status wait(stream_handle stream, event_handle event) noexcept = 0;

  /// Between two timed events that have happened.
  virtual status elapsed_ms(event_handle begin, event_handle end,
                            float& out) noexcept = 0;

  // -- kernels -----------------------------------------------------------------

  /// Loads what `launch` launches onto the current device. CUDA does so with
  /// the first launch otherwise, and may wait for all work of the device then,
  /// without a deadline.
  virtual status load_kernels() noexcept = 0;

  /// Copies, converts and digests the regions of whole buckets in one launch
  /// (copy_launch.hpp).
  virtual status launch(const copy_launch& what,
                        stream_handle stream) noexcept = 0;
};

using runtime_ptr = std::shared_ptr<runtime>;

} // namespace troupe::comm::cuda
