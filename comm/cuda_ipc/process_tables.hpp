// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/cuda_ipc/name.hpp"
#include "troupe/comm/socket.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::cuda_ipc {

/// An allocation that has a name for other processes.
struct exported_allocation {
  cuda::pointer_facts where;
  cuda::device_uuid device{};
  cuda::ipc_handle handle{};
};

using exported_ptr = std::shared_ptr<const exported_allocation>;

/// What this process has exported and opened. CUDA counts by process, so there
/// is one such table a runtime, which everybody shares; it lives as long as
/// somebody uses it.
///
/// Safe to call from any thread. Calls of CUDA are made under one lock: they
/// take no part in any sync, and so no handle is open twice.
class process_tables : public std::enable_shared_from_this<process_tables> {
public:
  /// Also frees what could not be freed before (`retire`).
  [[nodiscard]] static std::shared_ptr<process_tables>
  of(const cuda::runtime_ptr& runtime);

  process_tables(const process_tables&) = delete;
  process_tables& operator=(const process_tables&) = delete;

  /// Frees it, once the other end of `tether`, which its users hold, is closed
  /// by all: CUDA leaves open what happens to memory that is freed while
  /// others have it open. Does not wait: what is in use is kept, and freed by
  /// a later call of `of`.
  void retire(cuda::device_memory memory, socket tether) noexcept;

  /// Retired memory that is not free yet.
  [[nodiscard]] std::uint64_t retired() const;

  /// The name of the allocation that `where` is a part of; the same one as long
  /// as somebody holds it. Fails with `errc::invalid`, saying what to change,
  /// if it cannot have a name.
  [[nodiscard]] result<exported_ptr>
  export_allocation(const cuda::pointer_facts& where);

  /// The memory itself; keep it until `close` with the same name. Opens a
  /// handle only if it is not open. Fails with `errc::invalid` if this process
  /// is the exporter or does not see the device, `errc::lost` if CUDA does not
  /// open it, `errc::corrupt` if it is smaller than its name says.
  [[nodiscard]] result<std::byte*> open(const memory_name& name);

  /// The last user's call closes the handle.
  void close(const memory_name& name) noexcept;

  /// Fills in what every name of this process has in common.
  [[nodiscard]] memory_name name_of(const exported_allocation& x) const;

  [[nodiscard]] result<cuda::device_uuid> uuid_of(std::int32_t device) const;

private:
  using opened_key = std::pair<cuda::device_uuid, cuda::ipc_handle>;

  struct opened {
    std::byte* begin = nullptr;
    std::int32_t device = 0;
    std::uint64_t users = 0;
  };

  struct retired_memory {
    cuda::device_memory memory;
    socket tether;
  };

  explicit process_tables(cuda::runtime_ptr runtime);

  /// Frees retired memory that nobody has open any more.
  void sweep() noexcept;

  /// The number here of the device that a peer means.
  result<std::int32_t> find_device(const cuda::device_uuid& wanted) const;

  /// That all of what is named can be read.
  result<void> check_size(const std::byte* begin,
                          const memory_name& name) const;

  cuda::runtime_ptr runtime_;
  /// By which this process recognizes its own names.
  std::uint64_t number_;

  mutable std::mutex mutex_;
  std::map<std::byte*, std::weak_ptr<const exported_allocation>> exports_;
  std::map<opened_key, opened> opened_;
  std::vector<retired_memory> retired_;
  /// Ourselves, while there is retired memory: the next `of` must find it.
  std::shared_ptr<process_tables> self_;
};

using tables_ptr = std::shared_ptr<process_tables>;

} // namespace troupe::comm::cuda_ipc
