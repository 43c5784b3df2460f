// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "troupe/core/transfer_plan.hpp"
#include "troupe/planner/cost_model.hpp"
#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planner::weights {

inline constexpr std::array all_links{link_kind::inproc, link_kind::shm,
                                      link_kind::gloo};

/// Bytes by link.
class link_bytes {
public:
  /// `x` is one of `all_links`: figures are of plans.
  std::uint64_t& operator[](link_kind x) noexcept {
    return bytes_[static_cast<std::size_t>(x) - 1];
  }

  std::uint64_t operator[](link_kind x) const noexcept {
    return bytes_[static_cast<std::size_t>(x) - 1];
  }

  [[nodiscard]] std::uint64_t total() const noexcept {
    return bytes_[0] + bytes_[1] + bytes_[2];
  }

private:
  std::array<std::uint64_t, all_links.size()> bytes_{};
};

/// What a plan moves. Bytes are those of the elements in the wire's type, once
/// for each destination.
struct plan_figures {
  std::uint64_t bytes_total = 0;
  link_bytes by_link;
  /// By position in the layouts: what each source rank sends and each
  /// destination rank receives.
  std::vector<link_bytes> sent;
  std::vector<link_bytes> received;
  std::uint64_t max_bytes_sent = 0;
  std::uint64_t max_bytes_received = 0;
  /// Bytes that the mapping's way moves besides: gathered by a source rank, or
  /// handed on by a destination rank.
  std::uint64_t bytes_detour = 0;
  double predicted_seconds = 0;
};

/// Counts a plan whose ranks the layouts know; others are left out.
///
/// Prediction: a device sends and receives at once, over one link after the
/// other, with the bandwidths of `costs` (inproc: device, shm: node, gloo: one
/// NIC a node, shared by what the node's devices send, or receive); the
/// slowest device or node decides, and `costs.sync_seconds` are added.
/// O(transfers x destinations + ranks).
[[nodiscard]] plan_figures measure(const transfer_plan& plan,
                                   const shared_layout& source,
                                   const shared_layout& destination,
                                   const cost_model& costs = {});

} // namespace troupe::planner::weights
