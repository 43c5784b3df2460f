// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/protocol/names.hpp"
#include "troupe/core/error.hpp"

namespace troupe::sync {

/// Where a sync stands. Allowed moves, and why each waits:
///
///   idle -> pinning               at once
///   pinning -> fencing            in place; WS-6: no call runs on the source,
///                                 all its ranks report the same version, and
///                                 no rank's parameters have changed shape
///   pinning -> transferring       staged; the same
///   pinning -> linking            the same, but the links are not built, or
///                                 died, or a rank's memory lies elsewhere now
///   linking -> fencing,           every link stands
///              transferring
///   fencing -> transferring       in place; WS-1: nobody serves while its
///                                 weights change
///   transferring -> verifying     every rank that moves has reported
///   verifying -> committing       in place; WS-4: what arrived is what was
///                                 sent, everywhere
///   verifying -> fencing          staged; WS-2: the commit is decided only
///                                 here, all of it is verified
///   fencing -> swapping           staged; nobody serves during a swap
///   swapping -> verifying         staged and validated: the comparison
///   swapping -> committing        staged; every rank that lives has swapped
///   committing -> idle            the whole replicas serve at the new version;
///                                 one of which a rank did not open is closed
///   any -> unwinding              something failed before the commit was
///                                 decided, or there is nothing to commit
///   unwinding -> idle             the destination serves what it served
///   unwinding -> failed           in place after the first byte, or staged
///                                 when what was swapped in compares as
///                                 different: the destination stays fenced; the
///                                 next run may heal it
///   failed -> pinning             as from idle
enum class sync_state : std::uint8_t {
  idle,
  linking,
  pinning,
  fencing,
  transferring,
  verifying,
  swapping,
  committing,
  unwinding,
  failed,
};

[[nodiscard]] std::string_view to_string(sync_state x) noexcept;

enum class sync_mode : std::uint8_t {
  /// Fenced from the first byte until the commit; needs no memory.
  in_place = 1,
  /// Serves until the commit and is fenced for the local swap alone.
  staged,
};

[[nodiscard]] std::string_view to_string(sync_mode x) noexcept;

enum class sync_kind : std::uint8_t {
  /// Moves the weights.
  run = 1,
  /// Moves, then compares every element before the commit.
  run_validated,
  /// Compares and moves nothing.
  compare,
};

/// What is to be done next: by ranks, or by whoever drives the machine.
enum class sync_verb : std::uint8_t {
  // ranks
  pin,
  enroll,
  fence,
  transfer,
  compare,
  swap,
  open,
  reopen,
  unpin,
  // the driver: answers with `judged`
  link,
  judge_standings,
  judge_reports,
};

[[nodiscard]] std::string_view to_string(sync_verb x) noexcept;

/// Whether `x` is nearer to the cause than `known`, which only says that somebody
/// else had an error.
[[nodiscard]] bool explains(const error& x, const error& known) noexcept;

/// A rank that takes part.
struct sync_member {
  protocol::worker_name name;
  bool source = false;
  /// It has a channel.
  bool moves = false;
};

/// `members` are indices; empty for what the driver does.
struct sync_step {
  sync_verb verb;
  std::vector<std::size_t> members;

  bool operator==(const sync_step&) const = default;
};

using sync_steps = std::vector<sync_step>;

/// The protocol of one sync as a value: no actors, no time, no I/O. It says
/// which steps to take; whoever drives it takes them and tells how they ended.
///
/// Every step ends: the driver reports each member's answer, or the error that
/// took its place (a deadline, a death), exactly once. A phase ends when all
/// its members have; so nobody is told to discard what it is still receiving.
///
/// Invariants (docs/architecture.md 8): a step `open` or `swap` is given only
/// after every report was judged right (WS-2); after `open` at one replica no
/// other serves at another version; whatever fails, `finished` becomes true.
class sync_machine {
public:
  /// Makes it forget all but what must not serve: a destination that is half
  /// written, replicas that were left behind.
  void reset(std::vector<sync_member> members, sync_mode mode);

  /// Which members move in the next run, and whether their links stand. As
  /// `begin`, only between runs.
  void use(const std::vector<bool>& moves, bool linked);

  // -- driving ----------------------------------------------------------------

  /// Begins. The state must be idle or failed.
  [[nodiscard]] sync_steps begin(sync_kind kind);

  /// A member's answer to `verb`. What nobody waits for is ignored.
  [[nodiscard]] sync_steps arrive(sync_verb verb, std::size_t member,
                                  std::optional<error> failure);

  /// The end of what the driver was asked to do itself.
  [[nodiscard]] sync_steps judged(sync_verb verb, std::optional<error> failure);

  // -- looking ----------------------------------------------------------------

  [[nodiscard]] sync_state state() const noexcept { return state_; }

  [[nodiscard]] sync_mode mode() const noexcept { return mode_; }

  [[nodiscard]] const std::vector<sync_member>& members() const noexcept {
    return members_;
  }

  /// True once a run has ended, until the next begins.
  [[nodiscard]] bool finished() const noexcept { return finished_; }

  /// True if the run that has ended gave the destination a new version, at
  /// least in one replica.
  [[nodiscard]] bool committed() const noexcept { return committed_; }

  /// Why the run failed; nothing if it did not. A run may be committed and
  /// have failed: then some replica is left behind, fenced.
  [[nodiscard]] const std::optional<error>& failure() const noexcept {
    return failure_;
  }

  /// The state in which `failure` came up.
  [[nodiscard]] sync_state failed_in() const noexcept { return failed_in_; }

  /// Links must be built before anything moves. Taken back by the machine when
  /// a transfer fails, and set by the driver when it closes or builds them, or
  /// hears that memory has moved.
  [[nodiscard]] bool linked() const noexcept { return linked_; }

  void set_linked(bool x) noexcept { linked_ = x; }

  /// The members that have not answered yet.
  [[nodiscard]] std::vector<std::size_t> awaited() const;

  /// Of those asked in the phase that failed: who was not heard of or ran into
  /// a deadline, and who answered.
  [[nodiscard]] const std::vector<std::size_t>& missing() const noexcept {
    return missing_;
  }
  [[nodiscard]] const std::vector<std::size_t>& arrivals() const noexcept {
    return arrivals_;
  }

private:
  struct seat {
    /// What it was asked and has not answered.
    std::optional<sync_verb> asked;
    /// In this run.
    std::optional<error> failure;
    bool fenced = false;
    /// Fenced at a version that others have left behind.
    bool stale = false;
    /// It was told to serve and did not say that it does.
    bool unsure = false;
    bool pinned = false;
    /// It was asked what it holds, and counts on being told how it ends.
    bool enrolled = false;
    bool swapped = false;
  };

  [[nodiscard]] std::vector<std::size_t> ranks(bool source) const;
  [[nodiscard]] sync_step ask(sync_verb verb, std::vector<std::size_t> whom);
  [[nodiscard]] bool waiting() const noexcept;
  [[nodiscard]] bool lost(std::size_t member) const;

  void note_failure(const error& why);

  [[nodiscard]] sync_steps pin();
  [[nodiscard]] sync_steps fence();
  [[nodiscard]] sync_steps transfer();
  [[nodiscard]] sync_steps compare();
  [[nodiscard]] sync_steps phase_over();
  [[nodiscard]] sync_steps reports_are_right();
  [[nodiscard]] sync_steps swap();
  [[nodiscard]] sync_steps commit();
  [[nodiscard]] sync_steps close_broken();
  [[nodiscard]] sync_steps unwind();
  [[nodiscard]] sync_steps finish();
  [[nodiscard]] sync_steps unpin();

  std::vector<sync_member> members_;
  std::vector<seat> seats_;
  sync_mode mode_ = sync_mode::in_place;
  sync_kind kind_ = sync_kind::run;
  sync_state state_ = sync_state::idle;
  bool linked_ = false;
  /// In place: bytes may have been written and no commit followed.
  bool torn_ = false;
  /// In this run: something may have arrived, something was compared.
  bool moved_ = false;
  bool compared_ = false;
  bool finished_ = false;
  bool committed_ = false;
  std::optional<error> failure_;
  sync_state failed_in_ = sync_state::idle;
  std::vector<std::size_t> missing_;
  std::vector<std::size_t> arrivals_;
};

} // namespace troupe::sync
