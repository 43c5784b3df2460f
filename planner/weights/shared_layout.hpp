// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/core/weight_layout.hpp"

namespace troupe::planner::weights {

/// A `weight_layout` that was checked and in which ranks share what they hold
/// alike: data-parallel copies hold all alike, expert-parallel ranks all but
/// their experts. What plans are made from; 60,000 tensors on 128 ranks take
/// as much memory as on one.
///
/// A rank's parameters are the tensors of its parts, one part after the other;
/// a plan's programs count them in this order.
class shared_layout {
public:
  using part = std::vector<stored_tensor>;

  /// Where a rank is and what it holds.
  struct member {
    rank_id rank;
    node_id node;
    device_id device;
    /// Numbers of parts.
    std::vector<std::uint32_t> parts;
  };

  explicit shared_layout(std::string model) : model_(std::move(model)) {
    // nop
  }

  /// Checks a layout and shares what ranks with equal tensors hold; each rank
  /// has one part. The layout may come from a file or a peer: fails with
  /// `errc::invalid` and a sentence that names rank, tensor and segment for an
  /// empty name, an unknown type, a shape or box that cannot be, a region
  /// outside of its tensor, a name twice on a rank, a rank twice, no rank, and
  /// more bytes than can be counted. O(segments).
  [[nodiscard]] static result<shared_layout> make(weight_layout layout);

  /// Adds tensors that ranks may hold and gives their number. Fails as `make`
  /// does.
  [[nodiscard]] result<std::uint32_t> add_part(part tensors);

  /// Parts must exist, and hold no stored name twice among them.
  [[nodiscard]] result<void> add_rank(member x);

  [[nodiscard]] const std::string& model() const noexcept { return model_; }

  [[nodiscard]] const std::vector<part>& parts() const noexcept {
    return parts_;
  }

  /// In the order in which they were added; planners count ranks by their
  /// position here.
  [[nodiscard]] const std::vector<member>& ranks() const noexcept {
    return ranks_;
  }

  /// Position of `rank` in `ranks()`; nothing if there is none.
  [[nodiscard]] std::optional<std::uint32_t>
  position_of(rank_id rank) const noexcept;

private:
  std::string model_;
  std::vector<part> parts_;
  std::vector<std::uint64_t> part_bytes_;
  std::vector<member> ranks_;
  /// Positions, sorted by rank.
  std::vector<std::uint32_t> by_rank_;
  std::uint64_t bytes_ = 0;
};

} // namespace troupe::planner::weights
