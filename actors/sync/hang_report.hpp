// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "troupe/actors/protocol/weights.hpp"
#include "troupe/actors/sync/sync_machine.hpp"

namespace troupe::sync {

/// Everything that is known when a deadline of a sync has passed.
struct hang_report {
  std::string sync;
  sync_state state = sync_state::idle;
  sync_mode mode = sync_mode::in_place;
  std::uint64_t waited_ms = 0;
  std::vector<protocol::worker_name> arrived;
  std::vector<protocol::worker_name> missing;
  /// What the ranks did just then: buckets and tensors of those that move.
  std::vector<protocol::worker_status> operations;
};

/// The report for people: who arrived, who did not, and what each rank's last
/// operation was, the missing ones first.
[[nodiscard]] std::vector<std::string> to_lines(const hang_report& x);

/// The same in one sentence for an error: the missing ranks and what they did.
[[nodiscard]] std::string to_sentence(const hang_report& x);

} // namespace troupe::sync
