// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "support/cuda/stand_in_runtime.hpp"
#include "troupe/comm/nccl/library.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::test {

struct stand_in_nccl_options {
  std::int32_t version = 22809;
  bool can_shrink = true;
  /// Kernels of one device run one at a time, in the order of their launches,
  /// also those of different communicators: what makes opposite orders on two
  /// devices a deadlock. Every rank needs a device of its own then.
  bool one_kernel_at_a_time = false;
};

/// Stands in for NCCL on the stand-in for CUDA: ranks are threads of one
/// process, unique ids name groups in this object, kernels are work on streams
/// that waits for the other ranks.
///
/// As NCCL: communicators are non-blocking; an operation whose ranks do not all
/// come, or come with different sizes, never ends but by `abort`; bfloat16 and
/// float16 are rounded at each step; a NaN loses against a number in max and
/// min; a handle is dead after `abort` or `destroy`; `shrink` ends the kernels
/// of its communicator, but is refused to one that is in progress or has an
/// asynchronous error. What a program does wrong is noted in `misuse`.
class stand_in_nccl final : public comm::nccl::library {
public:
  using status = comm::nccl::status;
  using comm_handle = comm::nccl::comm_handle;
  using registration_handle = comm::nccl::registration_handle;
  using stream_handle = comm::cuda::stream_handle;
  using unique_id = comm::nccl::unique_id;

  explicit stand_in_nccl(std::shared_ptr<stand_in_runtime> on,
                         stand_in_nccl_options options = {});

  ~stand_in_nccl() override;

  // -- what went wrong ---------------------------------------------------------

  /// Uses of dead handles, second aborts, calls beside others, communicators
  /// left standing.
  [[nodiscard]] std::vector<std::string> misuse() const;

  /// Communicators that exist.
  [[nodiscard]] std::size_t standing() const;

  /// Calls of a function so far.
  [[nodiscard]] std::uint64_t calls(const std::string& function) const;

  /// Returns once `count` kernels have been launched on `device`, of those that
  /// were ever launched; false if `until` passes.
  [[nodiscard]] bool await_launches(std::int32_t device, std::uint64_t count,
                                    deadline until);

  // -- what shall go wrong -----------------------------------------------------

  /// From now on `async_error` says so of every communicator on `device`, and
  /// their operations do not end.
  void break_device(std::int32_t device, status code);

  /// `init` stays in progress for ever.
  void hold_init();

  /// The next call of that function (`"all_reduce"`, ...) fails so.
  void fail_next(const std::string& function, status code);

  /// Calls of that function (`"abort"`, `"destroy"`, `"all_reduce"`, ...) do not
  /// come back until `resume`. An abort has ended its kernels by then.
  void hang(const std::string& function);

  void resume();

  /// Calls that hang now.
  [[nodiscard]] std::size_t hanging() const;

  /// Operations answer `in_progress` first and are ready a few looks later.
  void answer_late(bool on);

  // -- implementation of library -----------------------------------------------

  [[nodiscard]] std::int32_t version() const noexcept override;
  [[nodiscard]] std::string text_of(status x) const override;
  [[nodiscard]] std::string last_error(comm_handle comm) const override;

  status make_id(unique_id& out) noexcept override;
  status init(comm_handle& out, const unique_id& id, std::int32_t size,
              std::int32_t rank) noexcept override;
  status split(comm_handle comm, std::int32_t color, std::int32_t key,
               comm_handle& out) noexcept override;
  [[nodiscard]] bool can_shrink() const noexcept override;
  status shrink(comm_handle comm, std::span<const std::int32_t> excluded,
                comm_handle& out) noexcept override;
  status async_error(comm_handle comm, status& out) noexcept override;
  status finalize(comm_handle comm) noexcept override;
  status destroy(comm_handle comm) noexcept override;
  status abort(comm_handle comm) noexcept override;

  status group_begin() noexcept override;
  status group_end() noexcept override;
  status send(const void* data, std::uint64_t bytes, std::int32_t peer,
              comm_handle comm, stream_handle stream) noexcept override;
  status recv(void* data, std::uint64_t bytes, std::int32_t peer,
              comm_handle comm, stream_handle stream) noexcept override;
  status broadcast(void* data, std::uint64_t bytes, std::int32_t root,
                   comm_handle comm, stream_handle stream) noexcept override;
  status all_reduce(void* data, std::uint64_t elements, dtype type,
                    comm::reduce_op op, comm_handle comm,
                    stream_handle stream) noexcept override;
  status all_gather(const void* in, void* out, std::uint64_t bytes,
                    comm_handle comm, stream_handle stream) noexcept override;
  status reduce_scatter(const void* in, void* out, std::uint64_t elements,
                        dtype type, comm::reduce_op op, comm_handle comm,
                        stream_handle stream) noexcept override;

  status register_memory(comm_handle comm, void* memory, std::uint64_t bytes,
                         registration_handle& out) noexcept override;
  status deregister(comm_handle comm,
                    registration_handle what) noexcept override;

private:
  /// A rank's part in an operation, for as long as its kernel waits.
  struct part {
    const std::byte* in = nullptr;
    std::byte* out = nullptr;
    std::uint64_t bytes = 0;
    bool done = false;
    /// Its kernel has ended without it: nobody touches the memory any more.
    bool withdrawn = false;
  };

  using part_ptr = std::shared_ptr<part>;
  using parts = std::vector<part_ptr>;

  struct group_state;
  struct comm_state;

  using group_ptr = std::shared_ptr<group_state>;
  using comm_ptr = std::shared_ptr<comm_state>;

  /// One operation, in a group of calls or alone.
  struct call {
    comm_ptr comm;
    stream_handle stream = nullptr;
    std::string what;
    /// Joins the other ranks; what comes back is waited for.
    std::function<part_ptr(comm_state&)> begin;
    std::vector<memory_touch> touches;
  };

  /// Calls of this thread between `group_begin` and `group_end`.
  struct open_group {
    int depth = 0;
    std::vector<call> calls;
  };

  using lock = std::unique_lock<std::mutex>;

  static open_group& here();

  /// What every call begins with, with the mutex held: a failure that was asked
  /// for, or success.
  status enter(const char* function);
  /// Hangs if that was asked for.
  void pause(lock& guard, const char* function, comm_state& x);
  comm_ptr find(comm_handle comm, const char* function);
  status state_of(const comm_state& x) const;
  comm_handle put(const group_ptr& group, std::int32_t rank,
                  std::int32_t device);
  void note(std::string what);
  std::int32_t ranks_of(comm_handle comm) const;

  status submit(const char* function, comm_handle comm, call what) noexcept;
  status launch(std::vector<call> calls);
  void run(comm_state& x, const std::vector<call>& calls, std::uint64_t ticket,
           const std::atomic<bool>& cancelled);

  /// The rank's next collective; the last to come does it for all.
  part_ptr join(comm_state& who, const std::string& what, part_ptr mine,
                const std::function<void(parts&)>& compute);
  part_ptr post(comm_state& who, std::int32_t peer, part_ptr mine,
                bool sending);

  /// Hands out what a split or shrink has made, once all are there.
  void advance(comm_state& x);

  const std::shared_ptr<stand_in_runtime> runtime_;
  const stand_in_nccl_options options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<unique_id, group_ptr> groups_;
  std::map<comm_handle, comm_ptr> comms_;
  std::map<std::int32_t, std::deque<std::uint64_t>> queues_;
  std::map<std::int32_t, std::uint64_t> launched_;
  std::map<std::int32_t, status> broken_;
  std::map<std::string, std::deque<status>> failing_;
  std::map<std::string, std::uint64_t> calls_;
  std::set<std::string> hung_;
  std::size_t hanging_ = 0;
  std::vector<std::string> misuse_;
  std::uint64_t next_handle_ = 1;
  std::uint64_t next_id_ = 1;
  std::uint64_t next_ticket_ = 1;
  bool init_held_ = false;
  bool late_ = false;
};

} // namespace troupe::test
