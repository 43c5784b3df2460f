// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "troupe/comm/cuda/runtime.hpp"

namespace troupe::test {

/// What was done wrong, one sentence each. Shared, so that it can be read after
/// the runtime is gone.
class hazard_log {
public:
  void add(std::string what);

  [[nodiscard]] std::vector<std::string> all() const;

private:
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
};

/// Which operations of each line of work are known to have happened: a vector
/// clock. Line 0 is the host, every stream is a line.
class happened {
public:
  void join(const happened& other);

  void add(std::size_t line, std::uint64_t time);

  [[nodiscard]] bool knows(std::size_t line, std::uint64_t time) const;

private:
  std::vector<std::uint64_t> times_;
};

/// Bytes that an operation reads or writes.
struct memory_touch {
  const void* where = nullptr;
  std::uint64_t bytes = 0;
  bool writes = false;
};

/// The operation that touches memory.
struct toucher {
  std::size_t line = 0;
  std::uint64_t time = 0;
  const happened* known = nullptr;
  std::string_view what;
};

/// The memory of a stand-in: host pages that it tracks. Addresses are not used
/// again, so that memory is recognized after its release. Not thread-safe.
class stand_in_memory {
public:
  using status = comm::cuda::status;

  explicit stand_in_memory(std::shared_ptr<hazard_log> log);

  ~stand_in_memory();

  stand_in_memory(const stand_in_memory&) = delete;
  stand_in_memory& operator=(const stand_in_memory&) = delete;

  status make(comm::cuda::memory_kind kind, std::int32_t device,
              std::uint64_t bytes, bool exportable, std::byte*& out);

  /// Releases what `make` made. `host` is what the host knows to be done; null:
  /// the device is dead and nothing uses memory any more.
  status release(std::byte* memory, bool pinned, const happened* host);

  status facts(const void* where, comm::cuda::pointer_facts& out) const;

  status export_memory(std::byte* memory, std::uint32_t machine_device,
                       comm::cuda::ipc_handle& out);

  /// `devices[i]` is the machine's number of device i.
  status import_memory(const comm::cuda::ipc_handle& handle,
                       std::span<const std::uint32_t> devices, std::byte*& out);

  status close_imported(std::byte* memory, const happened* host);

  /// Of device memory and managed memory.
  [[nodiscard]] std::uint64_t bytes_in_use(std::int32_t device) const;

  /// True if `where` is or was memory of `make` or `import_memory`.
  [[nodiscard]] bool knows(const void* where) const;

  /// False, after a hazard, if not all bytes lie in one allocation that is
  /// there.
  bool usable(const void* where, std::uint64_t bytes, std::string_view what);

  /// Notes what an operation that begins now touches, and a hazard for every
  /// operation that it should have waited for. False: it must not run.
  bool touch(const toucher& who, std::span<const memory_touch> what);

  /// Nothing is queued: what the host knows of can no longer be raced with.
  void forget(const happened& host);

  /// What is not released.
  [[nodiscard]] std::vector<std::string> leaks() const;

private:
  /// First and one behind the last byte, from the allocation's begin.
  using range = std::pair<std::uint64_t, std::uint64_t>;

  struct access {
    std::size_t line;
    std::uint64_t time;
    bool writes;
    std::vector<range> ranges;
    std::string what;
  };

  struct allocation {
    std::byte* begin = nullptr;
    std::uint64_t bytes = 0;
    comm::cuda::memory_kind kind = comm::cuda::memory_kind::device;
    std::int32_t device = -1;
    bool exportable = false;
    bool imported = false;
    bool released = false;
    std::uint64_t number = 0;
    /// Of the handle that names it, or that it was opened by; 0: none.
    std::uint64_t handle = 0;
    std::vector<access> accesses;

    [[nodiscard]] std::string text() const;
  };

  [[nodiscard]] const allocation* find(const void* where) const;
  [[nodiscard]] allocation* find(const void* where);

  allocation& insert(allocation what);

  void check_unused(const allocation& what, const happened* host);

  void note(const toucher& who, allocation& what, bool writes,
            std::vector<range> ranges);

  std::shared_ptr<hazard_log> log_;
  /// By their first byte; also released ones.
  std::map<std::uintptr_t, allocation> all_;
  std::uint64_t made_ = 0;
};

} // namespace troupe::test
