// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include <fmt/core.h>

#include "troupe/core/ids.hpp"

namespace troupe::protocol {

/// One rank of one replica of one model. Messages carry names, never handles
/// of third parties: each hop resolves them.
struct worker_name {
  std::string model;
  replica_id replica;
  rank_id rank;

  auto operator<=>(const worker_name&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, worker_name& x) {
    return f(x.model, x.replica, x.rank);
  }
};

/// `"policy/0/1"`: model, replica, rank.
[[nodiscard]] inline std::string to_string(const worker_name& x) {
  return fmt::format("{}/{}/{}", x.model, x.replica.value(), x.rank.value());
}

/// One life of one process that holds workers. Slots are numbered by the node:
/// device hosts first, in device order, then the CPU host, then isolated ones.
struct host_name {
  node_id node;
  std::int32_t slot = 0;
  incarnation life;

  auto operator<=>(const host_name&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, host_name& x) {
    return f(x.node, x.slot, x.life);
  }
};

/// `"host 0.1"`: node and slot; `"host 0.1 (life 2)"` after restarts.
[[nodiscard]] inline std::string to_string(const host_name& x) {
  if (x.life.value() <= 1)
    return fmt::format("host {}.{}", x.node.value(), x.slot);
  return fmt::format("host {}.{} (life {})", x.node.value(), x.slot,
                     x.life.value());
}

} // namespace troupe::protocol
