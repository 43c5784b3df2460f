// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "actors/sync_faults/injection.hpp"
#include "actors/sync_faults/job.hpp"
#include "actors/sync_faults/shared_page.hpp"

namespace sync_faults {

/// What syncs came to: faults that change nothing would prove nothing.
struct tally {
  std::int64_t failed = 0;
  std::int64_t went_on = 0;
  std::int64_t unharmed = 0;
  /// The fault never came about: nobody took the step or touched the element.
  std::int64_t missed = 0;
};

/// One injection: a good sync, another one with the fault, a look at what is
/// left, and syncs until all is well.
class trial {
public:
  trial(job& all, const injection& what, tally& ends)
    : all_(all),
      what_(what),
      ends_(ends) {
    // nop
  }

  /// What went wrong; empty if nothing did.
  [[nodiscard]] std::string run();

private:
  using time_point = std::chrono::steady_clock::time_point;

  // -- the fault --------------------------------------------------------------

  [[nodiscard]] std::string good_sync();
  void arm();
  void hear(const std::string& step, const troupe::protocol::worker_name& to);
  void disarm_all();
  [[nodiscard]] bool struck() const;

  // -- what it hits, and what must hold then: empty if it does ----------------

  [[nodiscard]] std::string fail_to_sync();
  [[nodiscard]] std::string fail_to_prepare();
  [[nodiscard]] std::string
  judge(const troupe::result<troupe::protocol::sync_report>& got);
  [[nodiscard]] std::string judge_unwinding(bool succeeded);
  [[nodiscard]] std::string judge_pair();

  /// Nobody waits longer than the deadlines say.
  [[nodiscard]] static std::string check_time(time_point begin);

  /// WS-1, WS-2: those of the destination's ranks that serve do so at one
  /// version, whole.
  [[nodiscard]] std::string check(const std::vector<std::size_t>& ranks,
                                  std::optional<std::uint64_t> version,
                                  bool all_serve);

  /// WS-2: all that ran the same call ran it at the same version.
  [[nodiscard]] std::string check_calls() const;

  /// A sync that failed is run again until it succeeds at these ranks.
  [[nodiscard]] std::string heal(const std::vector<std::size_t>& ranks);

  /// The destination's ranks without the victim.
  [[nodiscard]] std::vector<std::size_t> others() const;

  job& all_;
  injection what_;
  tally& ends_;
  std::int32_t victim_ = 0;
  /// Frozen so that a run fails; 0 if none is.
  std::int32_t accomplice_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool struck_ = false;
  /// The version before the fault, and the first call.
  std::uint64_t version_ = 0;
  std::uint64_t first_call_ = 0;
};

} // namespace sync_faults
