// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"

namespace troupe::comm::nccl {

/// Names a communicator in the whole job.
using launch_group = id<struct launch_group_tag, std::uint64_t>;

/// A device as one process sees it: what kernels queue up on.
using launcher_id = id<struct launcher_id_tag, std::int32_t>;

/// A rank wants to launch its next operation of `group`.
struct launch_request {
  launch_group group;
  rank_id rank;
  /// The other end of a message; nothing: a collective of all ranks.
  std::optional<rank_id> partner;
};

/// The launch of `group` by `rank` is the `number`-th of `to`, from 0.
struct launch_grant {
  launcher_id to;
  launch_group group;
  rank_id rank;
  std::uint64_t number = 0;

  bool operator==(const launch_grant&) const = default;
};

/// What a communicator passes through around each launch. Operations of two
/// communicators that are launched in opposite orders on two devices wait for
/// each other for ever; a gate keeps them in one order.
class launch_gate {
public:
  /// Called while waiting, every few milliseconds at least; its error ends the
  /// wait.
  using still_wanted = std::function<result<void>()>;

  virtual ~launch_gate() = default;

  /// Blocks until `what` is next. After success `leave` must follow, as soon
  /// as the operation is enqueued.
  [[nodiscard]] virtual result<void> enter(const launch_request& what,
                                           deadline until,
                                           const still_wanted& check) = 0;

  virtual void leave(const launch_request& what) noexcept = 0;
};

/// Puts the launches of all communicators of a job into one order: a state
/// machine without threads, waits or I/O, for the one actor that issues it.
///
/// An operation is granted when all ranks that take part have asked for it, to
/// all of them at once; so every launcher sees its grants in an order that is
/// part of one order of all, and no two launchers see two operations in
/// opposite orders. Why it cannot deadlock: the operation that is first in the
/// order and not yet through has nothing before it on any device.
class launch_sequence {
public:
  /// `ranks[r]` launches for rank r. `errc::invalid` if the group is known or
  /// empty.
  [[nodiscard]] result<void> add(launch_group group,
                                 std::vector<launcher_id> ranks);

  /// The group is dead or done; what its ranks still asked for is forgotten.
  void remove(launch_group group);

  /// The grants that became possible, to be delivered to their launchers.
  /// `errc::invalid` for a request that makes no sense.
  [[nodiscard]] result<std::vector<launch_grant>>
  ask(const launch_request& what);

private:
  /// Both ends of a message in ascending order; {-1, -1}: a collective.
  using operation_key = std::pair<std::int32_t, std::int32_t>;

  struct group_state {
    std::vector<launcher_id> ranks;
    /// What each rank waits for.
    std::vector<std::optional<operation_key>> asked;
  };

  std::map<launch_group, group_state> groups_;
  std::map<launcher_id, std::uint64_t> next_;
};

/// The gate of one launcher: passes what the sequence grants, by number.
///
/// A caller that gives up leaves a hole; its number is skipped when it comes.
///
/// Threads: any.
class device_lease final : public launch_gate {
public:
  /// Hands a request to the actor with the sequence. Must not call back into
  /// the lease from the same thread while it holds locks of its own.
  using asking = std::function<result<void>(const launch_request&)>;

  explicit device_lease(asking ask) : ask_(std::move(ask)) {
    // nop
  }

  [[nodiscard]] result<void> enter(const launch_request& what, deadline until,
                                   const still_wanted& check) override;

  void leave(const launch_request& what) noexcept override;

  /// A grant for this launcher has arrived, in whatever order.
  void granted(const launch_grant& what);

  /// The group has been removed from the sequence: who waits for it is `lost`.
  void forget(launch_group group);

private:
  using caller = std::pair<launch_group, rank_id>;

  struct ticket {
    std::optional<std::uint64_t> number;
    bool abandoned = false;
    bool revoked = false;
  };

  static caller caller_of(const launch_request& x) { return {x.group, x.rank}; }

  /// `number` will not be waited for any more. With the mutex held.
  void pass(std::uint64_t number);

  void give_up(const caller& who);

  const asking ask_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<caller, ticket> tickets_;
  std::set<std::uint64_t> passed_;
  std::uint64_t next_ = 0;
};

} // namespace troupe::comm::nccl
