// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "troupe/comm/nccl/library.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::nccl {

/// The one owner of an NCCL communicator. It is ended exactly once, by `abort`
/// or `retire`, whoever comes first, and nobody touches it afterwards.
///
/// NCCL lets another thread abort while one is inside a call, but both free the
/// same thing. So it waits until no call is under way, which is soon: communicators
/// are non-blocking. Only if a call does not come back in time `abort` goes
/// ahead nevertheless, which is what NCCL allows it for.
///
/// Threads: any.
class owned_comm {
public:
  owned_comm(library_ptr lib, comm_handle raw) noexcept
    : library_(std::move(lib)),
      raw_(raw) {
    // nop
  }

  ~owned_comm() { abort(); }

  owned_comm(const owned_comm&) = delete;
  owned_comm& operator=(const owned_comm&) = delete;

  /// Calls `f(handle)` unless the communicator has ended; nothing then.
  template <class F>
  std::optional<status> with(F f) {
    auto* raw = enter();
    if (raw == nullptr)
      return std::nullopt;
    auto code = f(raw);
    leave();
    return code;
  }

  /// What NCCL knows of it; nothing once it has ended.
  [[nodiscard]] std::optional<status> state() noexcept;

  /// NCCL's words about its last error.
  [[nodiscard]] std::string words();

  /// Ends its kernels and frees it.
  void abort() noexcept;

  /// Frees it after what is enqueued has come through. Gives up and aborts if
  /// that is not so when `until` passes.
  void retire(deadline until) noexcept;

  [[nodiscard]] bool ended() const noexcept;

private:
  /// Waits until no other call is under way, at most as long as `abort` does.
  /// The handle, or null if it has ended.
  comm_handle enter();

  void leave() noexcept;

  /// Takes the handle for good, also from a call that does not come back.
  comm_handle take() noexcept;

  const library_ptr library_;
  mutable std::mutex mutex_;
  std::condition_variable left_;
  int calls_ = 0;
  comm_handle raw_;
};

/// What a number of NCCL's means to whoever has to react.
[[nodiscard]] error error_of(const library& lib, status code,
                             std::string_view words, std::string_view what);

} // namespace troupe::comm::nccl
