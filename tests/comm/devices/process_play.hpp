// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "comm/devices/fault_play.hpp"
#include "support/forked_ranks.hpp"

namespace troupe::test {

/// Plays syncs with ranks in processes of their own, forked from one that has
/// no threads and has not touched a device.
struct process_play {
  /// What a rank's process does first: says where its tensors lie and makes its
  /// end of the link. Throws what fails. `socket` is one of
  /// `comm::shm::make_sockets`, and the rank's; -1 without `sockets`.
  using connector = std::function<void(play_side& side, std::size_t rank,
                                       pipe_end& parent, int socket)>;

  connector connect;
  /// Ranks find each other by a pair of sockets, else by `exchange`.
  bool sockets = true;

  [[nodiscard]] play_result play(const fault& what) const;
};

/// Both ranks in one process that is forked for it, and makes its bed there.
[[nodiscard]] play_result play_in_one(const std::function<device_bed()>& make,
                                      const fault& what);

using fault_player = std::function<play_result(const fault&)>;

/// As checks of Boost.Test: random syncs without a fault.
void check_syncs(const fault_player& play);

/// And twenty in which something goes wrong.
void check_faults(const fault_player& play,
                  const std::vector<fault_kind>& kinds);

} // namespace troupe::test
