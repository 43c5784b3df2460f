// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/comm/bounded_task.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/nccl/library.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::nccl {

namespace codes {

/// Ours: a call has been inside NCCL too long to wait for it, another one or
/// our own (`with_bound`).
inline constexpr status stuck = -1;

} // namespace codes

/// How long threads are held by an NCCL that does not come back.
struct comm_limits {
  /// A call waits so long for another one that is inside.
  std::chrono::milliseconds turn{1000};
  /// A call that is inside longer is taken for hung by `look`.
  std::chrono::milliseconds call{10000};
  /// Who waits for the end of a communicator waits so long from its beginning.
  std::chrono::milliseconds end{5000};
};

/// Where NCCL writes a communicator's handle. NCCL may do so from a thread of
/// its own and once more when the communicator is ready, so the place lives as
/// long as both the communicator and the one it is made from.
using handle_place = std::shared_ptr<comm_handle>;

/// What a communicator is made with.
struct comm_parts {
  library_ptr library;
  cuda::runtime_ptr runtime;
  std::int32_t device = 0;
  /// For the log: `rank 1 of 4 on device 1`.
  std::string name;
  comm_limits limits;
};

/// The one owner of an NCCL communicator.
///
///   open ---- abort, retire, destructor ----> ending ---- NCCL is back ----> ended
///
/// *One call at a time.* NCCL's communicators are not for several threads, and
/// an abort frees what a call inside works on: "make sure no thread is calling
/// any NCCL operations while calling ncclCommAbort" (user guide, fault
/// tolerance). A call waits for its turn, within a bound, and is refused then;
/// nobody ever goes in beside another.
///
/// *Ending it may hang.* Of a non-blocking communicator's calls
/// ncclCommDestroy and ncclCommAbort block (same place): they wait for kernels,
/// and free device memory, which waits for neighbours' kernels too; so does
/// ncclCommShrink (`with_bound`). So they are made in a thread of their own (`bounded_task`), once, after the last call
/// inside has come out. It owns all that NCCL may still touch. Who wants to
/// know waits within `comm_limits::end`; a thread that is not through then is
/// left behind and nothing is freed under it.
///
/// Locks: the core's mutex guards its state and is never held while NCCL is
/// called. The ending thread takes it alone.
///
/// Threads: any.
class owned_comm {
public:
  /// `*place` is the handle.
  owned_comm(comm_parts parts, handle_place place);

  /// Aborts unless it has ended, and waits for the end within its bound.
  ~owned_comm();

  owned_comm(const owned_comm&) = delete;
  owned_comm& operator=(const owned_comm&) = delete;

  /// Calls `f(handle)`, which must not block. Nothing unless the communicator
  /// is open; `codes::stuck` if another call does not come out.
  template <class F>
  std::optional<status> with(F f) {
    comm_handle raw = nullptr;
    auto entered = core_->enter(core_->parts.limits.turn, raw);
    if (entered != codes::success)
      return refusal(entered);
    auto code = f(raw);
    core_->leave();
    return code;
  }

  /// As `with`, but `f` may hang: it is called in a thread of its own, and
  /// `codes::stuck` if that does not come back before `until`. `f` owns what it
  /// touches. The communicator stays occupied until `f` is through.
  std::optional<status> with_bound(const char* what, deadline until,
                                   std::function<status(comm_handle)> f);

  /// What NCCL knows of it; nothing unless open.
  [[nodiscard]] std::optional<status> state() noexcept;

  /// As `state`, but never waits: while somebody is inside NCCL it is what was
  /// known last, or `codes::stuck` once that call has been inside too long.
  [[nodiscard]] std::optional<status> look() noexcept;

  /// NCCL's words about its last error, which are the process's.
  [[nodiscard]] std::string words() const;

  /// Lets `what` live until NCCL has let go of the communicator.
  void keep(std::shared_ptr<void> what);

  /// Begins to end its kernels and to free it. Does not wait.
  void abort() noexcept;

  /// Frees it after what is enqueued has come through; aborts if that is not so
  /// when `until` passes. Waits as `await_end`; the bound begins at `until`.
  bool retire(deadline until) noexcept;

  /// Waits until NCCL has let go of it. False: it hangs and is left behind. At
  /// once if it is open.
  bool await_end() noexcept;

  /// Nobody gets in any more.
  [[nodiscard]] bool ended() const noexcept;

private:
  enum class stage : std::uint8_t { open, ending, ended };

  /// What the ending thread needs too.
  struct core {
    comm_parts parts;
    handle_place place;
    /// Set once, before anybody else knows this.
    comm_handle raw = nullptr;

    std::mutex mutex;
    std::condition_variable changed;
    stage now = stage::open;
    bool inside = false;
    std::chrono::steady_clock::time_point since;
    status last = codes::in_progress;
    /// How it ends, and by when whoever waits gives up.
    bool gently = false;
    std::optional<deadline> finalize_by;
    std::optional<deadline> end_by;
    std::vector<std::shared_ptr<void>> kept;

    status enter(std::chrono::milliseconds patience, comm_handle& out);
    void leave() noexcept;
    status ask() noexcept;
    void end() noexcept;
    [[nodiscard]] bool finalize() noexcept;
  };

  /// Nothing for one that is not open.
  static std::optional<status> refusal(status code);

  void begin_end(bool gently, deadline finalize_by) noexcept;

  const std::shared_ptr<core> core_;
  /// Set under the core's mutex, used by the destructor alone.
  std::optional<bounded_task> ending_;
};

/// What a number of NCCL's means to whoever has to react. `words` are NCCL's
/// own; where they tell of a machine or container that lacks something, the
/// error says what to change.
[[nodiscard]] error error_of(const library& lib, status code,
                             std::string_view words, std::string_view what);

} // namespace troupe::comm::nccl
